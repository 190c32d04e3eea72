// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "mqtt/reason.h"

namespace fieldpipe::mqtt {
namespace {

TEST_CASE("reason codes have names and say what a caller can do") {
  CHECK(reason_error(4).what == "bad user name or password (0x04)");
  CHECK(reason_error(4).code == ErrorCode::kDenied);
  CHECK(reason_error(0x87).what == "not authorized (0x87)");
  CHECK(reason_error(0x87).code == ErrorCode::kDenied);
  CHECK(reason_error(0x95).what == "packet too large (0x95)");
  CHECK(reason_error(0x95).code == ErrorCode::kRefused);
  CHECK(reason_error(0x97).code == ErrorCode::kUnavailable);
  CHECK(reason_error(0xFE).what == "reason 0xfe");
  CHECK(reason_error(0xFE).code == ErrorCode::kRefused);
}

}  // namespace
}  // namespace fieldpipe::mqtt
