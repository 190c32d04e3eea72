// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "uplink/payload.h"
#include "uplink/stored.h"

using namespace fieldpipe;
using std::string_view_literals::operator""sv;

namespace {

// The line as it is printed again, or why it is refused.
std::string round(std::string_view line) {
  json::Reader reader;
  uplink::Payload payload;
  if (auto parsed = uplink::parse_payload(reader, line, payload); !parsed) {
    CHECK(parsed.error().code == ErrorCode::kBadData);
    return parsed.error().what;
  }
  std::string out;
  uplink::append_line(out, payload);
  REQUIRE(out.ends_with('\n'));
  out.pop_back();
  return out;
}

std::string with_column(std::string_view value) {
  return fmt::format(R"({{"stream":"s","sequence":1,"timestamp":2,"v":{}}})", value);
}

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

}  // namespace

TEST_CASE("a line is a stream, a sequence, a timestamp and columns") {
  json::Reader reader;
  uplink::Payload payload;
  REQUIRE(uplink::parse_payload(
      reader, R"({"z": null, "stream": "can", "k\u0061": [1, 2.50], "sequence": 4294967295, "timestamp": 7})",
      payload));
  CHECK(payload.stream == "can");
  CHECK(payload.sequence == 4294967295U);
  CHECK(payload.timestamp_ms == 7);
  REQUIRE(payload.columns.size() == 2);
  CHECK(payload.columns[0].key == "z");
  CHECK(payload.columns[0].value == "null");
  CHECK(payload.columns[1].key == "ka");
  CHECK(payload.columns[1].value == "[1, 2.50]");
  std::string point;
  uplink::append_point(point, payload);
  CHECK(point == R"({"sequence":4294967295,"timestamp":7,"z":null,"ka":[1, 2.50]})");
}

TEST_CASE("values keep their JSON text") {
  for (const char* value : {"0.10", "-0", "1E+05", "18446744073709551616", "-9223372036854775809", "true", "null",
                            R"("h\u00e9\n")", R"({"a": [1, {}]})", "[ ]", "0.1000000000000000055511151231257827"}) {
    CAPTURE(value);
    CHECK(round(with_column(value)) == with_column(value));
  }
}

TEST_CASE("sequence and timestamp are integers of 32 and 64 bits, in every spelling that is one") {
  const auto line = [](std::string_view sequence, std::string_view timestamp) {
    return fmt::format(R"({{"stream":"s","sequence":{},"timestamp":{}}})", sequence, timestamp);
  };
  for (const auto& [sequence, timestamp] :
       {std::pair{"0", "0"}, {"4294967295", "18446744073709551615"}, {"1", "1700000000000"}}) {
    CHECK(round(line(sequence, timestamp)) == line(sequence, timestamp));
  }
  CHECK(round(line("1.0", "1")) == "sequence: must be an integer from 0 to 4294967295, is 1.0");
  CHECK(round(line("1e0", "1")) == "sequence: must be an integer from 0 to 4294967295, is 1e0");
  CHECK(round(line("-1", "1")) == "sequence: must be an integer from 0 to 4294967295, is -1");
  CHECK(round(line("-0", "1")) == "sequence: must be an integer from 0 to 4294967295, is -0");
  CHECK(round(line("4294967296", "1")) == "sequence: must be an integer from 0 to 4294967295, is 4294967296");
  CHECK(round(line("\"1\"", "1")) == "sequence: must be an integer, is a string");
  CHECK(round(line("1", "18446744073709551616")) ==
        "timestamp: must be an integer from 0 to 18446744073709551615, is 18446744073709551616");
  CHECK(round(line("1", "1.5")) == "timestamp: must be an integer from 0 to 18446744073709551615, is 1.5");
  CHECK(round(line("1", "\"2024-01-01T00:00:00Z\"")) == "timestamp: must be an integer, is a string");
  CHECK(round(line("1", "null")) == "timestamp: must be an integer, is null");
  CHECK(round(line("01", "1")) == "not JSON: '01'");
}

TEST_CASE("each of the three keys stands once, of another key the last value counts") {
  CHECK(round(R"({"stream":"s","stream":"s","sequence":1,"timestamp":1})") == "stream: key stands twice");
  CHECK(round(R"({"stream":"s","sequence":1,"timestamp":1,"sequence":1})") == "sequence: key stands twice");
  CHECK(round(R"({"stream":"s","sequence":1,"timestamp":1,"t\u0069mestamp":1})") == "timestamp: key stands twice");
  CHECK(round(R"({"a":1,"stream":"s","b":2,"sequence":1,"timestamp":1,"\u0061":3})") ==
        R"({"stream":"s","sequence":1,"timestamp":1,"a":3,"b":2})");
  CHECK(round(R"({"sequence":1,"timestamp":1,"v":1})") == "no stream");
  CHECK(round(R"({"stream":"can","timestamp":1,"v":1})") == "no sequence");
  CHECK(round(R"({"stream":"can","sequence":1,"v":1})") == "no timestamp");
}

TEST_CASE("what is no JSON object is refused") {
  CHECK(round("") == "no JSON text");
  CHECK(round("not json") == "JSON text must be an object or an array");
  CHECK(round("[1,2,3]") == "must be an object, is an array");
  CHECK(round("\"text\"") == "JSON text must be an object or an array");
  CHECK(round("{\"stream\":\"can\",") != "");
  CHECK(round(with_column("tru")) == "not JSON: 'tru'");
  CHECK(round(with_column("01.e")) == "not JSON: '01.e'");
  CHECK(round(with_column("1") + "}") != with_column("1"));
  CHECK(round(with_column("1") + "]") != with_column("1"));
  CHECK(round(with_column("1,")) != with_column("1"));
  CHECK(round(with_column("\"\xff\"")) == "JSON text is not UTF-8");
  CHECK(round(with_column(R"("\ud800")")) == "not JSON: bad escape in a string");
  CHECK(round(R"({"stream":5,"sequence":1,"timestamp":1})") == "stream: must be a string, is a number");
}

TEST_CASE("stream names become topics: what a topic cannot hold is refused") {
  const auto named = [](std::string_view name) {
    return round(fmt::format(R"({{"stream":"{}","sequence":1,"timestamp":1}})", name));
  };
  CHECK(named("Motor-1.rpm_x é").starts_with("{"));
  CHECK(named(std::string(255, 'a')).starts_with("{"));
  CHECK(named("") == "stream name is empty");
  CHECK(named(std::string(256, 'a')) == "stream name of 256 bytes, more than the limit of 255");
  CHECK(named("a+") == "stream name 'a+' holds '+'");
  CHECK(named("#") == "stream name '#' holds '#'");
  CHECK(named("a/b") == "stream name 'a/b' holds '/'");
  CHECK(named(R"(a\u0000)") == R"(stream name 'a\x00' holds a control character)");
  CHECK(named(R"(a\n)") == R"(stream name 'a\n' holds a control character)");
  CHECK(named(R"(a\u007f)").ends_with("holds a control character"));
}

TEST_CASE("depth, keys and size are limited, and the limits themselves are not refused") {
  CHECK(round(with_column(nested(31))) == with_column(nested(31)));
  CHECK(round(with_column(nested(32))) == "JSON deeper than 32 levels");
  CHECK(round(with_column(nested(10000))) == "JSON deeper than 32 levels");
  const auto with_keys = [](std::size_t count) {
    std::string line = R"({"stream":"s","sequence":1,"timestamp":1)";
    for (std::size_t i = 3; i < count; ++i) line += fmt::format(",\"k{}\":{}", i, i);
    return line + "}";
  };
  CHECK(round(with_keys(1024)) == with_keys(1024));
  CHECK(round(with_keys(1025)) == "k1024: more than 1024 keys");
  const auto sized = [](std::size_t bytes) {
    const std::string shortest = with_column("\"\"");
    return with_column('"' + std::string(bytes - shortest.size(), 'x') + '"');
  };
  CHECK(round(sized(262144)) == sized(262144));
  CHECK(round(sized(262145)) == "262145 bytes, more than the limit of 256KiB");
}

TEST_CASE("cut at every byte, a line is refused") {
  const std::string line = R"({"stream":"can","sequence":12,"timestamp":34,"v":{"a":[1.5,"\u00e9\"",null]}})";
  CHECK(round(line) == line);
  for (std::size_t size = 0; size < line.size(); ++size) {
    CAPTURE(size);
    CHECK(!round(std::string_view(line).substr(0, size)).starts_with('{'));
  }
}

TEST_CASE("what a line lacks is told, and keeps the value it had") {
  json::Reader reader;
  uplink::Payload payload;
  payload.stream = "kept";
  payload.sequence = 9;
  const auto given = uplink::parse_incomplete_payload(reader, R"({"timestamp":5,"a":1})", payload);
  REQUIRE(given);
  CHECK(!given->stream);
  CHECK(!given->sequence);
  CHECK(given->timestamp);
  std::string out;
  uplink::append_line(out, payload);
  CHECK(out == "{\"stream\":\"kept\",\"sequence\":9,\"timestamp\":5,\"a\":1}\n");
}

TEST_CASE("checkpoints and their answers") {
  std::string out;
  uplink::append_checkpoint(out, 7, 1700000000000);
  CHECK(out == "{\"stream\":\"fieldpipe_stored\",\"sequence\":7,\"timestamp\":1700000000000}\n");
  out.clear();
  uplink::append_stored(out, 4294967295U);
  CHECK(out == "{\"stored\":4294967295}\n");
  CHECK(uplink::parse_stored("{\"stored\":4294967295}") == 4294967295U);
  for (const char* line : {"{\"stored\":4294967296}", "{\"stored\":-1}", "{\"stored\":}", "{\"stored\": 1}",
                           "{\"stored\":1", "{\"action_id\":\"1\",\"name\":\"a\",\"payload\":\"\"}", ""}) {
    CHECK(!uplink::parse_stored(line));
  }
}
