// SPDX-License-Identifier: MIT
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "flexconnect/json_message.h"
#include "flexconnect/message.h"
#include "flexconnect_vectors.h"

namespace fieldpipe::flexconnect {
namespace {

using Json = nlohmann::json;

struct Decoded {
  std::vector<Point> points;
  std::optional<std::string> token;
  std::string error;
};

Decoded decode(std::string_view text) {
  Decoded out;
  JsonDecoder decoder;
  if (auto opened = decoder.open(text); !opened) {
    out.error = opened.error().what;
    return out;
  }
  out.token = decoder.token();
  for (Point point;;) {
    const auto more = decoder.next(point);
    if (!more) out.error = more.error().what;
    if (!more || !*more) return out;
    out.points.push_back(point);
  }
}

std::string encode(const JsonDefaults& defaults, const std::vector<Point>& points) {
  JsonEncoder encoder(defaults);
  PointText text;
  for (const Point& point : points) {
    encoder.render(point, text);
    CHECK(encoder.accepts(point.time_ms, text));
    const std::size_t expected = encoder.size_with(point.time_ms, text);
    encoder.add(point.time_ms, text);
    CHECK(encoder.finish().size() == expected);
  }
  return std::string(encoder.finish());
}

can::Frame make_frame(std::uint32_t id, bool extended, std::string_view hex_data) {
  can::Frame frame{};
  frame.id = id;
  frame.extended = extended;
  const std::string data = from_hex(hex_data);
  std::ranges::copy(as_bytes(data), frame.data.begin());
  frame.length_bytes = static_cast<std::uint8_t>(data.size());
  return frame;
}

Tags tags_of(const Json& message) {
  Tags tags;
  for (const auto& tag : message.value("tags", Json::array())) {
    for (const auto& [key, value] : tag.items()) tags.emplace_back(key, value.get<std::string>());
  }
  return tags;
}

}  // namespace

TEST_CASE("JSON vectors decode as recorded and encode again, bad ones are refused with the reason") {
  const std::map<std::string, std::string> reasons{
      {"b64-not-base64", "b64: base64 of 3 characters, must be a multiple of 4"},
      {"b64-not-gzip", "b64: damaged gzip stream: incorrect header check"},
      {"tags-object", "tags: must be an array, is an object"},
      {"value-bool", "value: must be a string or a number, is true"},
      {"value-nan", "not JSON: no value where one must be"},
      {"timestamp-string", "timestamp: must be an integer, is a string"},
      {"cut", "JSON text without its end, or with more behind it"},
  };
  Unwrapper unwrapper;
  std::size_t good = 0;
  for (const auto& vector : read_vectors("flexconnect-json.jsonl")) {
    CAPTURE(vector.at("name"));
    const std::string wire = vector.at("text");
    const auto body = unwrapper.unwrap(as_bytes(wire));
    const Decoded decoded = body ? decode(as_text(body->body)) : Decoded{{}, {}, body.error().what};
    if (!vector.at("ok")) {
      REQUIRE(reasons.contains(vector.at("name")));
      CHECK(decoded.error == reasons.at(vector.at("name")));
      continue;
    }
    ++good;
    CHECK(decoded.error == "");
    Json message = vector.at("message");
    CHECK(decoded.token == message.at("token").get<std::string>());
    REQUIRE(decoded.points.size() == message.at("points").size());
    for (std::size_t i = 0; i < decoded.points.size(); ++i) {
      const Point& point = decoded.points[i];
      const Json& expected = message.at("points")[i];
      CHECK(point.device_id == message.at("device_id").get<std::string>());
      CHECK(point.message_tags.has_value() == message.contains("tags"));
      CHECK(point.message_tags.value_or(Tags{}) == tags_of(message));
      CHECK(point.time_ms == expected.at("timestamp"));
      CHECK(point.tags == tags_of(expected));
      REQUIRE(point.fields.size() == expected.at("fields").size());
      for (std::size_t k = 0; k < point.fields.size(); ++k) {
        CHECK(point.fields[k].name == expected.at("fields")[k].at("name").get<std::string>());
        CHECK(Json::parse(point.fields[k].value) == expected.at("fields")[k].at("value"));
      }
    }
    if (decoded.points.empty()) continue;
    // What may be missing is written.
    if (!message.contains("tags")) message["tags"] = Json::array();
    for (Json& point : message["points"]) {
      if (!point.contains("tags")) point["tags"] = Json::array();
    }
    const std::string encoded =
        encode({.device_id = "", .token = *decoded.token, .tags = {}, .point_tags = {}}, decoded.points);
    CHECK(Json::parse(encoded) == message);
    CHECK(encoded.find('\n') == std::string::npos);
    if (vector.at("name") == "compact") CHECK(encoded == wire);
    // Through a pipe of points they are the same message.
    json::Reader reader;
    std::vector<Point> piped;
    for (const Point& point : decoded.points) {
      std::string line;
      append_point(line, point);
      REQUIRE(parse_point(reader, line, piped.emplace_back()));
    }
    CHECK(piped == decoded.points);
  }
  CHECK(good == 8);
}

TEST_CASE("the JSON example of the guide comes out as its code makes it") {
  json::Reader reader;
  Point point;
  REQUIRE(parse_point(reader, R"({"timestamp":1622547800000,"fields":{"temperature":22.5,"humidity":45.0}})", point));
  const JsonDefaults defaults{.device_id = "provided_device_id",
                              .token = "provided_token",
                              .tags = {{"tag1", "value1"}, {"tag2", "value2"}},
                              .point_tags = {{"point_tag1", "point_value1"}}};
  const std::string message = encode(defaults, {point});
  const auto vectors = read_vectors("flexconnect-json.jsonl");
  CHECK(Json::parse(message) == Json::parse(vectors.at(0).at("text").get<std::string>()));
  CHECK(message == vectors.at(2).at("text").get<std::string>());
  // Unchanged by compression.
  gzip::Compressor compressor;
  std::string wire;
  REQUIRE(compress_json(compressor, message, wire));
  Unwrapper unwrapper;
  CHECK(as_text(unwrapper.unwrap(as_bytes(wire)).value().body) == message);
}

TEST_CASE("what a point says itself stands before the defaults, and another device ends a message") {
  const JsonDefaults defaults{.device_id = "d", .token = "t", .tags = {{"a", "b"}}, .point_tags = {{"p", "q"}}};
  JsonEncoder encoder(defaults);
  PointText text;
  const auto render = [&](const Point& point) { encoder.render(point, text); };
  render({1, {}, {}, {}, {{"x", "1"}}});
  CHECK(encoder.accepts(1, text));
  encoder.add(1, text);
  render({2, "d", Tags{{"a", "b"}}, Tags{}, {{"x", "\"2\""}}});
  CHECK(encoder.accepts(2, text));
  encoder.add(2, text);
  CHECK(encoder.finish() == R"({"device_id":"d","token":"t","tags":[{"a":"b"}],"points":[)"
                            R"({"timestamp":1,"tags":[{"p":"q"}],"fields":[{"name":"x","value":1}]},)"
                            R"({"timestamp":2,"tags":[],"fields":[{"name":"x","value":"2"}]}]})");
  for (const Point& other : {Point{3, "e", {}, {}, {}}, Point{3, {}, Tags{}, {}, {}}}) {
    render(other);
    CHECK_FALSE(encoder.accepts(3, text));
  }
  encoder.clear();
  CHECK(encoder.empty());
  render({3, "e", Tags{{"k", "v"}, {"k", "w"}}, {}, {}});
  CHECK(encoder.accepts(3, text));
  encoder.add(3, text);
  CHECK(encoder.finish() == R"({"device_id":"e","token":"t","tags":[{"k":"v"},{"k":"w"}],"points":[)"
                            R"({"timestamp":3,"tags":[{"p":"q"}],"fields":[]}]})");
}

TEST_CASE("frames become fields named by bus and identifier") {
  JsonEncoder encoder({.device_id = "d", .token = "t", .tags = {}, .point_tags = {}});
  const auto add = [&](std::int64_t time_ms, unsigned bus, const can::Frame& frame) {
    CHECK(encoder.accepts(time_ms, bus, frame));
    const std::size_t expected = encoder.size_with(time_ms, bus, frame);
    encoder.add(time_ms, bus, frame);
    CHECK(encoder.finish().size() == expected);
  };
  const auto points = [&] {
    const std::string_view message = encoder.finish();
    const std::size_t start = message.find("\"points\":") + 9;
    return std::string(message.substr(start, message.size() - 1 - start));
  };
  add(5, 0, make_frame(0x123, false, "11AAFF"));
  add(5, 1, make_frame(0x123, false, ""));
  add(5, 1, make_frame(0x123, true, "00"));
  CHECK(points() == R"([{"timestamp":5,"tags":[],"fields":[{"name":"can0.123","value":"11AAFF"},)"
                    R"({"name":"can1.123","value":""},{"name":"can1.00000123","value":"00"}]}])");
  // A name that repeats, and another millisecond, begin a new point.
  encoder.clear();
  add(5, 0, make_frame(0x001, false, "01"));
  add(5, 0, make_frame(0x002, false, "02"));
  add(5, 0, make_frame(0x001, false, "03"));
  add(5, 0, make_frame(0x002, false, "04"));
  add(6, 0, make_frame(0x003, false, "05"));
  add(5, 7, make_frame(0x1FFFFFFF, true, std::string(128, 'C')));
  CHECK(points() == fmt::format(R"([{{"timestamp":5,"tags":[],"fields":[{{"name":"can0.001","value":"01"}},)"
                                R"({{"name":"can0.002","value":"02"}}]}},)"
                                R"({{"timestamp":5,"tags":[],"fields":[{{"name":"can0.001","value":"03"}},)"
                                R"({{"name":"can0.002","value":"04"}}]}},)"
                                R"({{"timestamp":6,"tags":[],"fields":[{{"name":"can0.003","value":"05"}}]}},)"
                                R"({{"timestamp":5,"tags":[],"fields":[{{"name":"can7.1FFFFFFF","value":"{}"}}]}}])",
                                std::string(128, 'C')));
  CHECK(decode(encoder.finish()).points.size() == 4);
  // Names of the message before do not count.
  encoder.clear();
  add(5, 7, make_frame(0x1FFFFFFF, true, ""));
  add(5, 0, make_frame(0x001, false, ""));
  CHECK(decode(encoder.finish()).points.size() == 1);
}

TEST_CASE("the order of keys is free, and what is not known is ignored") {
  const Decoded decoded = decode(
      R"({"points":[{"fields":[{"value":1.0,"unit":"x","name":"a"}],"new":{},"timestamp":7}],"new":[],"token":"t",)"
      R"("tags":[{"k":"v"}],"device_id":"d"})");
  CHECK(decoded.error == "");
  CHECK(decoded.token == "t");
  REQUIRE(decoded.points.size() == 1);
  CHECK(decoded.points.front() == Point{7, "d", Tags{{"k", "v"}}, Tags{}, {{"a", "1.0"}}});
  const Decoded bare = decode(R"({"points":[{"timestamp":7,"fields":[]}]})");
  CHECK(bare.error == "");
  CHECK_FALSE(bare.token);
  CHECK(bare.points.at(0) == Point{7, {}, {}, Tags{}, {}});
}

TEST_CASE("points before a broken one are given") {
  for (const std::string_view head : {R"({"device_id":"d","token":"t","tags":[],)", "{"}) {
    const Decoded decoded = decode(fmt::format(R"({}"points":[{{"timestamp":1,"fields":[]}},)"
                                               R"({{"timestamp":2,"fields":[{{"name":"a","value":null}}]}}]}})",
                                               head));
    CHECK(decoded.error == "value: must be a string or a number, is null");
    CHECK(decoded.points.size() == 1);
  }
}

TEST_CASE("JSON messages that are refused") {
  for (const auto& [text, what] : std::vector<std::pair<std::string_view, std::string_view>>{
           {R"([])", "must be an object, is an array"},
           {R"({})", "JSON message without points"},
           {R"({"points":{}})", "points: must be an array, is an object"},
           {R"({"points":[],"points":[]})", "points: key stands twice"},
           {R"({"device_id":"d","token":"t","tags":[],"points":[],"token":"u"})", "token: key stands twice"},
           {R"({"device_id":"d","token":"t","tags":[],"points":[],"points":[]})", "points: key stands twice"},
           {R"({"device_id":"d","token":"t","tags":[],"points":[]}})", "more behind the end of the JSON text"},
           {R"({"points":[],"b64":"x"})", "b64: b64 must be the only key of a message"},
           {R"({"token":5,"points":[]})", "token: must be a string, is a number"},
           {R"({"tags":[{"a":"b","c":"d"}],"points":[]})", "tags must be objects of one pair, one has 2"},
           {R"({"tags":[{}],"points":[]})", "tags must be objects of one pair, one has 0"},
           {R"({"tags":[["a","b"]],"points":[]})", "must be an object, is an array"},
           {R"({"tags":[{"a":1}],"points":[]})", "a: must be a string, is a number"},
           {R"({"points":[1]})", "must be an object, is a number"},
           {R"({"points":[{}]})", "point without a timestamp or without fields"},
           {R"({"points":[{"timestamp":1}]})", "point without a timestamp or without fields"},
           {R"({"points":[{"timestamp":-1,"fields":[]}]})", "timestamp: -1 is before 1970"},
           {R"({"points":[{"timestamp":1,"timestamp":1,"fields":[]}]})", "timestamp: key stands twice"},
           {R"({"points":[{"timestamp":1,"fields":{}}]})", "fields: must be an array, is an object"},
           {R"({"points":[{"timestamp":1,"fields":[{"name":"a"}]}]})", "field without a name or without a value"},
           {R"({"points":[{"timestamp":1,"fields":[{"value":1}]}]})", "field without a name or without a value"},
           {R"({"points":[{"timestamp":1,"fields":[{"name":1,"value":1}]}]})", "name: must be a string, is a number"},
           {R"({"points":[{"timestamp":1,"fields":[{"name":"a","value":[]}]}]})",
            "value: must be a string or a number, is an array"},
           {R"({"points":[{"timestamp":1,"fields":[{"name":"a","value":1,"value":1}]}]})", "value: key stands twice"},
       }) {
    CAPTURE(text);
    CHECK(decode(text).error == what);
  }
  const std::string deep = fmt::format(R"({{"new":{}{},"points":[]}})", std::string(99, '['), std::string(99, ']'));
  CHECK(decode(deep).error == "JSON deeper than 64 levels");
}

TEST_CASE("a JSON message cut at any byte is refused") {
  constexpr std::string_view kMessage =
      R"({"device_id":"d","token":"t","tags":[{"k":"v"}],"points":[{"timestamp":1,"tags":[],)"
      R"("fields":[{"name":"a","value":1.5},{"name":"b","value":"x"}]},{"timestamp":2,"tags":[],"fields":[]}]})";
  REQUIRE(decode(kMessage).error == "");
  for (std::size_t size = 0; size < kMessage.size(); ++size) CHECK(decode(kMessage.substr(0, size)).error != "");
}

}  // namespace fieldpipe::flexconnect
