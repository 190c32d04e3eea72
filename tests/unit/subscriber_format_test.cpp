// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <ctime>

#include <doctest/doctest.h>

#include "subscriber/format.h"

namespace fieldpipe::subscriber {
namespace {

// 2026-01-31 12:00:00.000000005 UTC.
constexpr WallTime kAt{std::chrono::seconds(1769860800) + std::chrono::nanoseconds(5)};

std::string printed(std::string_view pattern, const mqtt::Received& message = {"a/b", "h\xc3\xb6", 1, true, 7, {}}) {
  setenv("TZ", "UTC", 1);
  tzset();
  const auto format = Format::parse(pattern);
  REQUIRE(format.has_value());
  json::Reader reader;
  std::string out;
  REQUIRE(format->append(out, message, kAt, reader).has_value());
  return out;
}

TEST_CASE("each letter prints its part of the message") {
  CHECK(printed("%t=%p") == "a/b=h\xc3\xb6");
  CHECK(printed("%l %q %r %m") == "3 1 1 7");
  CHECK(printed("%x %X") == "68c3b6 68C3B6");
  CHECK(printed("%I") == "2026-01-31T12:00:00+0000");
  CHECK(printed("%U") == "1769860800.000000005");
  CHECK(printed("@H:@M @N") == "12:00 000000005");
  CHECK(printed("%% @@ \\\\ \\t") == "% @ \\ \t");
  CHECK(printed("") == "");
}

TEST_CASE("properties") {
  const mqtt::Received message{"t",
                               "",
                               0,
                               false,
                               0,
                               {{"content-type", "", "c"},
                                {"user-property", "k", "v"},
                                {"user-property", "l", "w"},
                                {"response-topic", "", "r"}}};
  CHECK(printed("%C|%P|%R|%E", message) == "c|k:v l:w|r|");
}

TEST_CASE("JSON with the payload as string and as JSON") {
  const mqtt::Received message{"t", "{\"a\":1}", 0, false, 0, {}};
  CHECK(
      printed("%j", message) ==
      R"({"tst":"2026-01-31T12:00:00.000000+0000","topic":"t","qos":0,"retain":0,"payloadlen":7,"payload":"{\"a\":1}"})");
  CHECK(printed("%J", message) ==
        R"({"tst":"2026-01-31T12:00:00.000000+0000","topic":"t","qos":0,"retain":0,"payloadlen":7,"payload":{"a":1}})");
  json::Reader reader;
  std::string out;
  const auto failed = Format::parse("%J")->append(out, {"t", "{", 0, false, 0, {}}, kAt, reader);
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().what == "the payload is not JSON");
}

TEST_CASE("what is not known is refused") {
  CHECK(Format::parse("%z").error().what == "'%z' is not known");
  CHECK(Format::parse("a%").error().what == "'a%' ends in %");
  CHECK(Format::parse("\\q").error().what == "'\\q' is not known");
  CHECK(Format::parse("@").error().what == "'@' ends in @");
}

}  // namespace
}  // namespace fieldpipe::subscriber
