// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "flexconnect/points.h"

namespace fieldpipe::flexconnect {
namespace {

Result<Point> parse(std::string_view line) {
  json::Reader reader;
  Point point;
  // What a line before has left behind must not come back.
  point.device_id = "old";
  point.message_tags = Tags{{"old", "old"}};
  point.tags = Tags{{"old", "old"}};
  point.fields = {{"old", "1"}};
  if (auto parsed = parse_point(reader, line, point); !parsed) return fail(std::move(parsed));
  return point;
}

std::string refusal(std::string_view line) {
  const auto point = parse(line);
  return point ? "accepted" : point.error().what;
}

std::string again(std::string_view line) {
  const auto point = parse(line);
  REQUIRE(point);
  std::string out;
  append_point(out, *point);
  CHECK(parse(out).value() == *point);
  return out;
}

}  // namespace

TEST_CASE("a point is parsed as it is written") {
  const auto point = parse(R"({"fields": {"temperature": 22.5, "state": "on\u00e4"}, "timestamp": 1622547800000})");
  REQUIRE(point);
  CHECK(*point == Point{1'622'547'800'000, {}, {}, {}, {{"temperature", "22.5"}, {"state", "\"on\\u00e4\""}}});
  const auto full =
      parse(R"({"timestamp":0,"device_id":"d","message_tags":{"m":"1"},"tags":{},"fields":{},"token":"t"})");
  REQUIRE(full);
  CHECK(*full == Point{0, "d", Tags{{"m", "1"}}, Tags{}, {}});
}

TEST_CASE("points come back unchanged") {
  for (const std::string_view line : {
           R"({"timestamp":1622547800000,"fields":{"temperature":22.5,"humidity":45.0}})",
           R"({"timestamp":1,"device_id":"d","message_tags":{"a":"b"},"tags":{"c":"d"},"fields":{"x":1e-09,"y":-0}})",
           R"({"timestamp":1,"fields":{"big":18446744073709551616,"bigger":1e999,"text":"\u00e4\/"}})",
           R"({"timestamp":1,"tags":[["k","v"],["l",""],["k","v"]],"fields":[["a",1],["a","2"],["b",3.0]]})",
           R"({"timestamp":9223372036854775807,"tags":{},"fields":{}})",
       }) {
    CHECK(again(line) == line);
  }
  CHECK(again(R"({"timestamp":1,"fields":{"a":1,"a":2}})") == R"({"timestamp":1,"fields":[["a",1],["a",2]]})");
  CHECK(again(R"({"timestamp":1,"fields":[["a",1],["b",2]]})") == R"({"timestamp":1,"fields":{"a":1,"b":2}})");
  CHECK(again(R"({"timestamp":1,"fields":[]})") == R"({"timestamp":1,"fields":{}})");
}

TEST_CASE("a token is printed when asked for, and passed over") {
  const Point point{5, "d", {}, {}, {{"a", "1"}}};
  std::string out;
  append_point(out, point, "s\"t");
  CHECK(out == R"({"timestamp":5,"device_id":"d","token":"s\"t","fields":{"a":1}})");
  CHECK(parse(out).value() == point);
}

TEST_CASE("points that are refused") {
  for (const auto& [members, what] : std::vector<std::pair<std::string_view, std::string_view>>{
           {R"("fields":{})", "point without a timestamp"},
           {R"("timestamp":1)", "point without fields"},
           {R"("timestamp":"1","fields":{})", "timestamp: must be an integer, is a string"},
           {R"("timestamp":1.5,"fields":{})", "timestamp: must be an integer of 64 bits, is 1.5"},
           {R"("timestamp":9223372036854775808,"fields":{})",
            "timestamp: must be an integer of 64 bits, is 9223372036854775808"},
           {R"("timestamp":-1,"fields":{})", "timestamp: -1 is before 1970"},
           {R"("timestamp":1,"timestamp":1,"fields":{})", "timestamp: key stands twice"},
           {R"("timestamp":1,"fields":{"a":true})", "a: must be a string or a number, is true"},
           {R"("timestamp":1,"fields":{"a":null})", "a: must be a string or a number, is null"},
           {R"("timestamp":1,"fields":{"a":[1]})", "a: must be a string or a number, is an array"},
           {R"("timestamp":1,"fields":{"a":{}})", "a: must be a string or a number, is an object"},
           {R"("timestamp":1,"fields":{"a":NaN})", "not JSON: no value where one must be"},
           {R"("timestamp":1,"fields":{"a":01})", "not JSON: '01'"},
           {R"("timestamp":1,"fields":1)", "fields: must be an object or an array of pairs, is a number"},
           {R"("timestamp":1,"fields":["a",1])", "must be an array, is a string"},
           {R"("timestamp":1,"fields":[["a"]])", "must be a pair of name and value, has 1 elements"},
           {R"("timestamp":1,"fields":[["a",1,2]])", "must be a pair of name and value, has 3 elements"},
           {R"("timestamp":1,"fields":[[1,1]])", "must be a string, is a number"},
           {R"("timestamp":1,"fields":[["a",false]])", "must be a string or a number, is false"},
           {R"("timestamp":1,"fields":[{"a":1}])", "must be an array, is an object"},
           {R"("timestamp":1,"tags":{"a":1},"fields":{})", "a: must be a string, is a number"},
           {R"("timestamp":1,"tags":[["a",1]],"fields":{})", "must be a string, is a number"},
           {R"("timestamp":1,"message_tags":"x","fields":{})",
            "message_tags: must be an object or an array of pairs, is a string"},
           {R"("timestamp":1,"device_id":1,"fields":{})", "device_id: must be a string, is a number"},
           {R"("timestamp":1,"token":1,"fields":{})", "token: must be a string, is a number"},
           {R"("timestamp":1,"feilds":{})",
            "feilds: no key of a point (timestamp, device_id, message_tags, tags, fields)"},
       }) {
    CAPTURE(members);
    CHECK(refusal(fmt::format("{{{}}}", members)) == what);
  }
  CHECK(refusal("[1]") == "must be an object, is an array");
  CHECK(refusal("") == "no JSON text");
}

TEST_CASE("a cut point is never taken for a whole one") {
  constexpr std::string_view kLine = R"({"timestamp":1,"tags":[["k","v"],["k","w"]],"fields":{"a":1.5,"b":"x\n"}})";
  REQUIRE(parse(kLine));
  for (std::size_t size = 0; size < kLine.size(); ++size) CHECK_FALSE(parse(kLine.substr(0, size)));
}

}  // namespace fieldpipe::flexconnect
