// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "bluez/peripheral.h"

namespace fieldpipe::bluez {
namespace {

TEST_CASE("bluez: what is an address and what is a name") {
  CHECK(is_address("C0:FF:EE:00:00:01"));
  CHECK(is_address("c0:ff:ee:00:00:01"));
  CHECK_FALSE(is_address("C0:FF:EE:00:00"));
  CHECK_FALSE(is_address("C0:FF:EE:00:00:0G"));
  CHECK_FALSE(is_address("C0-FF-EE-00-00-01"));
  CHECK_FALSE(is_address("C0:FF:EE:00:00:01 "));
  CHECK_FALSE(is_address(""));
}

}  // namespace
}  // namespace fieldpipe::bluez
