// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "core/bytes.h"
#include "record/envelope.h"

using namespace fieldpipe;
using record::Envelope;
using std::chrono::nanoseconds;
using std::string_view_literals::operator""sv;

namespace {

std::string print(const Envelope& envelope) {
  json::Reader reader;
  std::string out;
  record::append_envelope(reader, out, envelope);
  return out;
}

Result<Envelope> parse(std::string_view line) {
  json::Reader reader;
  return record::parse_envelope(reader, line);
}

std::string refusal(std::string_view line) {
  const auto parsed = parse(line);
  return parsed ? "accepted" : parsed.error().what;
}

Envelope with_payload(std::string_view payload) {
  Envelope envelope;
  envelope.topic = "t";
  envelope.payload = payload;
  return envelope;
}

// The record of a message with that payload, which must come back the same.
std::string payload_form(std::string_view payload) {
  const Envelope envelope = with_payload(payload);
  const std::string line = print(envelope);
  const auto back = parse(line);
  REQUIRE(back);
  CHECK(*back == envelope);
  CHECK(line.find('\n') == std::string::npos);
  return line;
}

std::string time_of(std::int64_t ns) {
  Envelope envelope = with_payload("");
  envelope.time = WallTime(nanoseconds(ns));
  const std::string line = print(envelope);
  const auto back = parse(line);
  REQUIRE(back);
  CHECK(*back == envelope);
  const std::size_t start = line.find("\"time\":") + 7;
  return line.substr(start, line.size() - 1 - start);
}

}  // namespace

TEST_CASE("an envelope with everything in it is printed in a fixed order and comes back") {
  Envelope envelope = with_payload(R"({"value": 1.50})");
  envelope.topic = "plant/gerät";
  envelope.qos = std::uint8_t{1};
  envelope.retain = false;
  envelope.time = WallTime(nanoseconds(1'700'000'000'123'456'000));
  envelope.properties.payload_format_indicator = std::uint8_t{1};
  envelope.properties.message_expiry_interval = 4'294'967'295U;
  envelope.properties.content_type = "application/json";
  envelope.properties.response_topic = "answers";
  envelope.properties.correlation_data = std::string("\0\xFF", 2);
  envelope.properties.subscription_identifiers = {1, 268'435'455};
  envelope.properties.user_properties = {{"k", "v"}, {"a", ""}, {"k", "w"}};
  const std::string line = print(envelope);
  CHECK(line == R"({"topic":"plant/gerät","json":{"value": 1.50},"qos":1,"retain":false,"time":1700000000.123456,)"
                R"("properties":{"payload_format_indicator":1,"message_expiry_interval":4294967295,)"
                R"("content_type":"application/json","response_topic":"answers","correlation_data_b64":"AP8=",)"
                R"("subscription_identifiers":[1,268435455],"user_properties":[{"k":"v"},{"a":""},{"k":"w"}]}})");
  const auto back = parse(line);
  REQUIRE(back);
  CHECK(*back == envelope);
  CHECK(print(*back) == line);
}

TEST_CASE("the payload of an envelope goes out in the most readable of three forms") {
  CHECK(payload_form("") == R"({"topic":"t","payload":""})");
  CHECK(payload_form("hi") == R"({"topic":"t","payload":"hi"})");
  CHECK(payload_form("45.0") == R"({"topic":"t","json":45.0})");
  CHECK(payload_form("045.0") == R"({"topic":"t","payload":"045.0"})");
  CHECK(payload_form("true") == R"({"topic":"t","json":true})");
  CHECK(payload_form("tru") == R"({"topic":"t","payload":"tru"})");
  CHECK(payload_form(R"("a\u00e4")") == R"({"topic":"t","json":"a\u00e4"})");
  CHECK(payload_form(R"("a)") == R"({"topic":"t","payload":"\"a"})");
  CHECK(payload_form("[1,\t2]") == "{\"topic\":\"t\",\"json\":[1,\t2]}");
  CHECK(payload_form("[1,\n2]") == R"({"topic":"t","payload":"[1,\n2]"})");
  CHECK(payload_form("[1,\r2]") == R"({"topic":"t","payload":"[1,\r2]"})");
  CHECK(payload_form("[1] ") == R"({"topic":"t","payload":"[1] "})");
  CHECK(payload_form(" [1]") == R"({"topic":"t","payload":" [1]"})");
  CHECK(payload_form("1,\"retain\":true") == R"({"topic":"t","payload":"1,\"retain\":true"})");
  CHECK(payload_form("\0"sv) == R"({"topic":"t","payload":"\u0000"})");
  CHECK(payload_form("\xFF\n") == R"({"topic":"t","payload_b64":"/wo="})");
  CHECK(payload_form("\"\xFF\"") == R"({"topic":"t","payload_b64":"Iv8i"})");
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(payload_form(nested(63)).find("\"json\"") != std::string::npos);
  CHECK(payload_form(nested(64)).find("\"payload\"") != std::string::npos);
}

TEST_CASE("the time of an envelope is an exact decimal") {
  CHECK(time_of(0) == "0");
  CHECK(time_of(1) == "0.000000001");
  CHECK(time_of(1'700'000'000'000'000'000) == "1700000000");
  CHECK(time_of(1'700'000'000'100'000'000) == "1700000000.1");
  CHECK(time_of(1'700'000'000'123'456'789) == "1700000000.123456789");
  CHECK(time_of(-500'000'000) == "-0.5");
  CHECK(time_of(std::numeric_limits<std::int64_t>::max()) == "9223372036.854775807");
  CHECK(time_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036.854775808");
  CHECK(parse(R"({"topic":"t","payload":"","time":1.1234567899})")->time == WallTime(nanoseconds(1'123'456'789)));
}

TEST_CASE("an envelope needs little and ignores what it does not know") {
  const auto parsed = parse(R"( {"later":[{"x":1}],"payload_b64":"AAE=","properties":{"new":null},"topic":""} )");
  REQUIRE(parsed);
  CHECK(parsed->payload == "\0\1"sv);
  CHECK_FALSE(parsed->qos);
  CHECK_FALSE(parsed->retain);
  CHECK_FALSE(parsed->time);
  CHECK(parsed->properties == record::Properties{});
  CHECK(parse(R"({"topic":"t","json": { "a" : [1, 2.50] } })")->payload == R"({ "a" : [1, 2.50] })");
}

TEST_CASE("envelopes that are refused") {
  for (const auto& [members, what] : std::vector<std::pair<std::string, std::string>>{
           {R"("topic":"t")", "envelope without json, payload or payload_b64"},
           {R"("payload":"")", "envelope without a topic"},
           {R"("topic":1,"payload":"")", "topic: must be a string, is a number"},
           {R"("topic":"a","topic":"b","payload":"")", "topic: key stands twice"},
           {R"("topic":"a\u0000b","payload":"")", "topic: text holds U+0000, which MQTT does not allow"},
           {R"("topic":"t","payload":1)", "payload: must be a string, is a number"},
           {R"("topic":"t","payload":"","json":1)",
            "json: only one of json, payload and payload_b64 may stand in an envelope"},
           {R"("topic":"t","json":tru)", "not JSON: 'tru'"},
           {R"("topic":"t","json":[1}])", "not JSON"},
           {R"("topic":"t","payload_b64":"A")", "payload_b64: base64 of 1 characters, must be a multiple of 4"},
           {R"("topic":"t","payload_b64":"****")", "payload_b64: not a base64 character"},
           {R"("topic":"t","payload":"","qos":3)", "qos: 3 is not in 0 to 2"},
           {R"("topic":"t","payload":"","qos":-1)", "qos: -1 is not in 0 to 2"},
           {R"("topic":"t","payload":"","qos":"1")", "qos: must be an integer, is a string"},
           {R"("topic":"t","payload":"","qos":1.0)", "qos: must be an integer of 64 bits, is 1.0"},
           {R"("topic":"t","payload":"","qos":null)", "qos: must be an integer, is null"},
           {R"("topic":"t","payload":"","retain":0)", "retain: must be true or false, is a number"},
           {R"("topic":"t","payload":"","time":"1")", "time: must be a number, is a string"},
           {R"("topic":"t","payload":"","time":1e9)", "time: must be decimal seconds since 1970, is 1e9"},
           {R"("topic":"t","payload":"","time":1.5e9)", "time: must be decimal seconds since 1970, is 1.5e9"},
           {R"("topic":"t","payload":"","time":9223372037)", "time: must be decimal seconds since 1970, is 9223372037"},
           {R"("topic":"t","payload":"","properties":[])", "properties: must be an object, is an array"},
           {R"("topic":"t","payload":"","properties":{"payload_format_indicator":2})",
            "payload_format_indicator: 2 is not in 0 to 1"},
           {R"("topic":"t","payload":"","properties":{"message_expiry_interval":4294967296})",
            "message_expiry_interval: 4294967296 is not in 0 to 4294967295"},
           {R"("topic":"t","payload":"","properties":{"subscription_identifiers":[268435456]})",
            "268435456 is not in 0 to 268435455"},
           {R"("topic":"t","payload":"","properties":{"subscription_identifiers":1})",
            "subscription_identifiers: must be an array, is a number"},
           {R"("topic":"t","payload":"","properties":{"user_properties":{"a":"b"}})",
            "user_properties: must be an array, is an object"},
           {R"("topic":"t","payload":"","properties":{"user_properties":[{}]})",
            "a user property must be an object of one pair"},
           {R"("topic":"t","payload":"","properties":{"user_properties":[{"a":"b","c":"d"}]})",
            "c: a user property must be an object of one pair"},
           {R"("topic":"t","payload":"","properties":{"user_properties":[{"a":1}]})",
            "a: must be a string, is a number"},
           {R"("topic":"t","payload":"","properties":{"content_type":"","content_type":""})",
            "content_type: key stands twice"},
       }) {
    CAPTURE(members);
    CHECK(refusal(fmt::format("{{{}}}", members)) == what);
  }
  CHECK(refusal("[]") == "must be an object, is an array");
  CHECK(refusal("hello") == "JSON text must be an object or an array");
  CHECK(refusal(R"({"topic":"t","payload":""}})") == "more behind the end of the JSON text");
  CHECK(refusal(fmt::format(R"({{"topic":"{}","payload":""}})", std::string(65'536, 'x'))) ==
        "topic: text of 65536 bytes, MQTT carries at most 65535");
  CHECK(refusal(fmt::format(R"({{"topic":"{}","payload":""}})", std::string(65'535, 'x'))) == "accepted");
}

TEST_CASE("a cut envelope is never taken for a whole one") {
  constexpr std::string_view kLine =
      R"({"topic":"t","json":{"a":[1,2]},"qos":1,"time":1.5,"properties":{"user_properties":[{"k":"v"}]}})";
  REQUIRE(parse(kLine));
  for (std::size_t size = 0; size < kLine.size(); ++size) CHECK_FALSE(parse(kLine.substr(0, size)));
}
