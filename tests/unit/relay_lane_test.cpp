// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "relay/lane.h"

namespace fieldpipe::relay {
namespace {

using namespace std::string_view_literals;

TEST_CASE("a lane's name begins with the device and gives its parts back") {
  const std::string name = lane({"DEMO1", "https://chunks.memfault.com", "0123456789abcdef0123456789abcdef"});
  CHECK(name ==
        "DEMO1\0https://chunks.memfault.com\0"
        "0123456789abcdef0123456789abcdef"sv);
  const auto parts = parse_lane(name);
  REQUIRE(parts);
  CHECK(parts->device == "DEMO1");
  CHECK(parts->endpoint == "https://chunks.memfault.com");
  CHECK(parts->project_key == "0123456789abcdef0123456789abcdef");
}

TEST_CASE("what a run is configured with is empty in the name") {
  const std::string name = lane({"DEMO1", "", ""});
  const auto parts = parse_lane(name);
  REQUIRE(parts);
  CHECK(parts->device == "DEMO1");
  CHECK(parts->endpoint.empty());
  CHECK(parts->project_key.empty());
}

TEST_CASE("names of other programs are not ours") {
  CHECK_FALSE(parse_lane(""));
  CHECK_FALSE(parse_lane("DEMO1"));
  CHECK_FALSE(parse_lane("DEMO1\0x"sv));
  CHECK_FALSE(parse_lane("\0x\0y"sv));
  CHECK_FALSE(parse_lane("DEMO1\0x\0y\0z"sv));
}

}  // namespace
}  // namespace fieldpipe::relay
