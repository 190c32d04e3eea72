// SPDX-License-Identifier: MIT
#include <string_view>

#include <doctest/doctest.h>

#include "digest/crc16.h"

namespace fieldpipe::digest {
namespace {

TEST_CASE("the check value of CRC-16/XMODEM") {
  CHECK(crc16(0, as_bytes("123456789")) == 0x31C3);
  CHECK(crc16(0, {}) == 0);
  CHECK(crc16(0, as_bytes(std::string_view("\0\0\0", 3))) == 0);
}

TEST_CASE("parts one after another have the checksum of the whole") {
  constexpr std::string_view kText = "123456789";
  for (std::size_t cut = 0; cut <= kText.size(); ++cut)
    CHECK(crc16(crc16(0, as_bytes(kText.substr(0, cut))), as_bytes(kText.substr(cut))) == 0x31C3);
}

}  // namespace
}  // namespace fieldpipe::digest
