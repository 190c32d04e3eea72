// SPDX-License-Identifier: MIT
#include "relay/keys.h"

#include <string>

#include <doctest/doctest.h>

namespace fieldpipe::relay {
namespace {

const std::string kOne = "0123456789abcdef0123456789ABCDEF";
const std::string kOther(32, 'F');

std::string error(std::string_view key, std::string_view map) {
  const auto keys = Keys::parse(key, map);
  if (keys) return "none";
  CHECK(keys.error().code == (map.empty() ? ErrorCode::kDenied : ErrorCode::kConfig));
  return keys.error().what;
}

TEST_CASE("a key for all, and others for some") {
  const auto keys = Keys::parse(kOne, "# first\nA " + kOther + " # of A\r\n\n\tB\t" + kOne + "\nC " + kOther);
  REQUIRE(keys);
  CHECK_FALSE(keys->empty());
  CHECK(keys->find("A") == kOther);
  CHECK(keys->find("B") == kOne);
  CHECK(keys->find("C") == kOther);
  CHECK(keys->find("D") == kOne);
}

TEST_CASE("no key for those that are not named") {
  const auto keys = Keys::parse("", "A " + kOne);
  REQUIRE(keys);
  CHECK(keys->find("B").empty());
  CHECK_FALSE(keys->empty());
  CHECK(Keys::parse("", "")->empty());
  CHECK(Keys::parse("", "# nobody\n")->empty());
}

TEST_CASE("what is refused, without showing a key") {
  CHECK(error("short", "") == "project key of 5 characters, a key has 32");
  CHECK(error("", "A short") == "--key-map: line 1: project key of 5 characters, a key has 32");
  CHECK(error("", "\nA/B " + kOne) ==
        "--key-map: line 2: device serial 'A/B' has a character that is none of A-Z a-z 0-9 _ -");
  CHECK(error("", "A") == "--key-map: line 1: project key of 0 characters, a key has 32");
  CHECK(error("", "A " + kOne + "\nA " + kOther) == "--key-map: line 2: A has a key already");
  CHECK(error("", "A " + kOne + " " + kOther) != "none");
}

}  // namespace
}  // namespace fieldpipe::relay
