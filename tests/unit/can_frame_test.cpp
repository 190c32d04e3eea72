// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "can/frame.h"

namespace fieldpipe::can {
namespace {

TEST_CASE("CAN FD length codes stand for the lengths of ISO 11898-1") {
  for (std::size_t code = 0; code <= 8; ++code) CHECK(kFdLengthOfCode[code] == code);
  CHECK(kFdLengthOfCode[9] == 12);
  CHECK(kFdLengthOfCode[10] == 16);
  CHECK(kFdLengthOfCode[11] == 20);
  CHECK(kFdLengthOfCode[12] == 24);
  CHECK(kFdLengthOfCode[13] == 32);
  CHECK(kFdLengthOfCode[14] == 48);
  CHECK(kFdLengthOfCode[15] == 64);
}

TEST_CASE("the code of a length is the smallest that holds it") {
  for (std::size_t length = 0; length <= kMaxFdBytes; ++length) {
    CAPTURE(length);
    const std::size_t code = kFdCodeOfLength[length];
    CHECK(kFdLengthOfCode[code] >= length);
    if (code > 0) CHECK(kFdLengthOfCode[code - 1] < length);
  }
}

TEST_CASE("payload is the data bytes, and nothing for a remote frame") {
  Frame frame{};
  frame.kind = Kind::kFd;
  frame.length_bytes = 12;
  CHECK(frame.payload().size() == 12);
  CHECK(frame.payload().data() == frame.data.data());
  frame.kind = Kind::kRemote;
  frame.length_bytes = 8;
  CHECK(frame.payload().empty());
}

}  // namespace
}  // namespace fieldpipe::can
