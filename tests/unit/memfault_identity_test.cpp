// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "memfault/identity.h"

namespace fieldpipe::memfault {
namespace {

std::string refused(Result<void> checked) {
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == ErrorCode::kBadData);
  return checked.error().what;
}

TEST_CASE("device serials") {
  CHECK(check_device("GW-UNIT_0042"));
  CHECK(check_device("-"));
  CHECK(check_device("123e4567-e89b-12d3-a456-426614174000"));
  CHECK(check_device(std::string(128, 'x')));
  CHECK(refused(check_device("")) == "the device serial is empty");
  CHECK(refused(check_device(std::string(129, 'x'))) == "device serial of 129 characters, the limit is 128");
  CHECK(refused(check_device("..")) == "device serial '..' has a character that is none of A-Z a-z 0-9 _ -");
  CHECK(refused(check_device("a\r\nb")) == "device serial 'a\\r\\nb' has a character that is none of A-Z a-z 0-9 _ -");
  for (const std::string_view text : {"/", "#", "+", "%2e", "a b", "a.b", "\x80", "\xC3\xA4", "a:b", "~"})
    CHECK_FALSE(check_device(text));
  CHECK_FALSE(check_device(std::string_view("a\0", 2)));
}

TEST_CASE("project keys, which messages do not show") {
  CHECK(check_project_key("0123456789abcdef0123456789ABCDEF"));
  CHECK(refused(check_project_key("")) == "project key of 0 characters, a key has 32");
  CHECK(refused(check_project_key("0123456789abcdef0123456789ABCDE")) == "project key of 31 characters, a key has 32");
  CHECK(refused(check_project_key("0123456789abcdef0123456789ABCDE-")) ==
        "the project key has a character that is none of A-Z a-z 0-9");
}

}  // namespace
}  // namespace fieldpipe::memfault
