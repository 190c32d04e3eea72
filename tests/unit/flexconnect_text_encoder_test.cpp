// SPDX-License-Identifier: MIT
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "flexconnect/text_encoder.h"
#include "flexconnect_vectors.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::int64_t kArrival = 1'700'000'000'000'000'000;

// The messages that `text` becomes when it is fed in pieces of `piece` bytes.
struct Run {
  std::vector<std::string> messages;
  TextEncoderCounts counts;
  std::uint64_t lines = 0;
  std::uint64_t bad = 0;
  std::string faults;
  Result<void> result;
};

Run encode(TextEncoderOptions options, std::string_view text, std::size_t piece = std::string_view::npos,
           can::Databases databases = can::Databases(), can::Sampler sampler = {}) {
  Run run;
  TextEncoder encoder(std::move(options), databases, std::move(sampler), [&](Form, Bytes message) {
    run.messages.emplace_back(as_text(message));
    return Result<void>();
  });
  std::string window;
  std::size_t at = 0;
  do {
    const std::string_view next = text.substr(at, piece);
    window += next;
    at += next.size();
    auto taken = encoder.feed(window, at == text.size(), kArrival);
    if (!taken) {
      run.result = fail(std::move(taken));
      break;
    }
    window.erase(0, *taken);
  } while (at < text.size());
  REQUIRE(encoder.finish());
  run.counts = encoder.counts();
  run.lines = encoder.lines();
  run.bad = encoder.faults().count();
  run.faults = encoder.faults().summary(run.lines);
  return run;
}

TextEncoderOptions with_token(std::string token) {
  TextEncoderOptions options;
  options.defaults.token = std::move(token);
  return options;
}

TEST_CASE("lines of the vectors become their messages, however they are cut") {
  int seen = 0;
  for (const auto& vector : read_vectors("flexconnect-binary.jsonl")) {
    if (!vector.contains("from_lines")) continue;
    CAPTURE(vector["name"].get<std::string>());
    TextEncoderOptions options = with_token(vector["token"]);
    if (vector.contains("options")) {
      for (const auto& [name, bus] : vector["options"]["bus"].items()) {
        REQUIRE(options.buses.add(name + "=" + std::to_string(bus.get<int>())));
      }
    }
    std::string text;
    for (const auto& line : vector["from_lines"]) text += line.get<std::string>() + "\n";
    const std::string expected = vector[vector.value("compressed", false) ? "plain_hex" : "hex"];
    for (const std::size_t piece : {std::string_view::npos, std::size_t{1}, std::size_t{7}}) {
      const Run run = encode(options, text, piece);
      REQUIRE(run.result);
      REQUIRE(run.messages.size() == 1);
      CHECK(to_hex(as_bytes(run.messages[0])) == expected);
    }
    ++seen;
  }
  CHECK(seen >= 13);
}

TEST_CASE("text split at every byte gives the same messages") {
  const std::string text =
      "(1700000000.000100) can0 123#11\r\n"
      "garbage\n"
      "  can1  1ABCDEF0   [2]  AA BB\n"
      "(1700000000.000200) can0 123#R\n\n"
      "(1700000003.000200) can0 123##1112233445566778899AABBCC";
  const Run whole = encode(with_token("t"), text);
  REQUIRE(whole.messages.size() == 2);
  for (std::size_t piece = 1; piece < text.size(); ++piece) {
    const Run run = encode(with_token("t"), text, piece);
    CHECK(run.messages == whole.messages);
    CHECK(run.bad == 1);
    CHECK(run.counts.remote == 1);
    CHECK(run.counts.records == 3);
    CHECK(run.lines == 6);
  }
  CHECK(whole.faults == "1 of 6 lines could not be read; line 2: interface or frame is missing: 'garbage'");
}

TEST_CASE("points become JSON messages, and only JSON messages") {
  TextEncoderOptions options = with_token("provided_token");
  options.defaults.device_id = "provided_device_id";
  options.defaults.tags = {{"tag1", "value1"}, {"tag2", "value2"}};
  const std::string point =
      R"({"timestamp":1622547800000,"tags":{"point_tag1":"point_value1"},"fields":{"temperature":22.5,"humidity":45.0}})";
  const Run run = encode(options, "\n" + point + "\n");
  REQUIRE(run.messages.size() == 1);
  const auto guide = read_vectors("flexconnect-json.jsonl")[0];
  CHECK(nlohmann::json::parse(run.messages[0]) == guide["message"]);

  options.form = Form::kBinary;
  const Run refused = encode(options, point + "\n");
  REQUIRE_FALSE(refused.result);
  CHECK(refused.result.error().code == ErrorCode::kUsage);
  CHECK(refused.result.error().what == "points have no binary form");
}

TEST_CASE("a device is needed for JSON, from the point or the options") {
  const std::string bare = R"({"timestamp":1,"fields":{"a":1}})";
  const Run refused = encode(with_token("t"), bare + "\n" + R"({"device_id":"d","timestamp":1,"fields":{}})");
  CHECK(refused.messages.empty());
  CHECK(refused.bad == 2);
  CHECK(refused.faults ==
        "2 of 2 lines could not be read; the first, line 1: a point without device_id, and no --device-id");
  const Run named = encode(with_token("t"), R"({"device_id":"d","timestamp":1,"fields":{"a":1}})");
  CHECK(named.result);
  CHECK(named.messages.size() == 1);

  TextEncoderOptions frames = with_token("t");
  frames.form = Form::kJson;
  const Run no_device = encode(frames, "(1.0) can0 123#11\n");
  REQUIRE_FALSE(no_device.result);
  CHECK(no_device.result.error().what == "a JSON message names its device");
}

TEST_CASE("interfaces without a bus number are refused by name and counted") {
  const Run run = encode(with_token("t"),
                         "(1700000000.0) can15 123#11\n(1700000000.0) eth 123#11\n(1700000000.0) can15 1#\n"
                         "(1700000000.0) can15 123#22\n");
  CHECK(run.messages.empty());
  CHECK(run.counts.unmapped == std::map<std::string, std::uint64_t, std::less<>>{{"can15", 2}, {"eth", 1}});
  CHECK(run.bad == 1);
}

TEST_CASE("strict stops at the first thing left out, with its line") {
  for (const auto& [line, what] : std::vector<std::pair<std::string, std::string>>{
           {"(1700000000.0) can0 123#R", "line 2: a remote frame has no place in a message"},
           {"(1700000000.0) can0 20000004#0008000000000000",
            "line 2: an error message of the kernel has no place in a message"},
           {"(1700000000.0) can9 123#", "line 2: interface can9 has no bus number"},
           {"(1700000000.0) can0 123#1", "line 2: data must be bytes of two hex digits: '1'"}}) {
    TextEncoderOptions options = with_token("t");
    options.frames.strict = true;
    const Run run = encode(options, "(1700000000.0) can0 123#11\n" + line + "\n");
    REQUIRE_FALSE(run.result);
    CHECK(run.result.error().what == what);
    CHECK(run.result.error().code == ErrorCode::kBadData);
    CHECK(run.messages.size() == 1);  // what was good before it
  }
}

TEST_CASE("relative times need a base, and add up") {
  const std::string lines =
      " (000.000000)  can0  001   [0] \n (000.100000)  can0  002   [0]  remote request\n (000.200000)  can0  003   [0] "
      "\n";
  const Run refused = encode(with_token("t"), lines);
  REQUIRE_FALSE(refused.result);
  CHECK(refused.result.error().what == "line 1: a relative time, and nothing says what it counts from");

  const auto second_time = [&](can::RelativeTimes relative) {
    TextEncoderOptions options = with_token("t");
    options.frames.times.relative = relative;
    options.frames.times.base_ns = 1'000'000'000'000;
    const Run run = encode(options, lines);
    REQUIRE(run.messages.size() == 1);
    auto decoder = BinaryDecoder::open(as_bytes(run.messages[0]));
    REQUIRE(decoder);
    REQUIRE(*decoder->next_point());
    REQUIRE(*decoder->next_point());
    return decoder->time_ms();
  };
  // The remote frame is not kept, but its difference counts.
  CHECK(second_time(can::RelativeTimes::kDelta) == 1'000'300);
  CHECK(second_time(can::RelativeTimes::kZero) == 1'000'200);
}

TEST_CASE("a line without end costs no memory and one count") {
  can::Databases none;
  TextEncoder encoder(with_token("t"), none, {}, [](Form, Bytes) { return Result<void>(); });
  const std::string block((std::size_t{1} << 20U) + 1, 'x');
  // Nothing may pile up with the caller.
  for (int i = 0; i < 64; ++i) {
    auto taken = encoder.feed(block, false, kArrival);
    REQUIRE(taken);
    CHECK(*taken == block.size());
  }
  auto taken = encoder.feed("x\n(1700000000.0) can0 123#11\n", true, kArrival);
  REQUIRE(taken);
  CHECK(encoder.faults().count() == 1);
  CHECK(encoder.counts().records == 1);
}

TEST_CASE("a first line that is too long is counted as what it would have been") {
  TextEncoderOptions options = with_token("t");
  options.defaults.device_id = "d";
  options.max_line_bytes = 60;
  const std::string good = R"({"timestamp":1,"fields":{"a":1}})";
  for (const std::size_t piece : {std::string_view::npos, std::size_t{7}}) {
    const Run run =
        encode(options, R"({"timestamp":1,"fields":{"a":")" + std::string(100, 'x') + "\"}}\n" + good + "\n", piece);
    REQUIRE(run.result);
    CHECK(run.messages.size() == 1);
    CHECK(run.faults == "1 of 2 lines could not be read; line 1: longer than the limit of 60B");
  }
}

TEST_CASE("two interfaces with one bus number are told, not folded in silence") {
  const Run run =
      encode(with_token("t"), "(1700000000.0) can0 123#11\n(1700000000.0) vcan0 123#11\n(1700000000.0) can0 1#\n");
  CHECK(run.counts.shared_bus == "can0 and vcan0 are both bus 0");
  CHECK(encode(with_token("t"), "(1700000000.0) can0 123#11\n(1700000000.0) can1 123#11\n").counts.shared_bus.empty());
}

TEST_CASE("any bytes are counted, never a crash, and the same in any pieces") {
  std::mt19937 random(7);
  const std::string alphabet = "0123456789ABCDEFR#(). []\n\tcan{\"\x1b`\xff";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 400; ++i) text += alphabet[random() % alphabet.size()];
    const Run whole = encode(with_token("t"), text);
    const Run pieces = encode(with_token("t"), text, 1 + random() % 50);
    CHECK(pieces.messages == whole.messages);
    CHECK(pieces.bad == whole.bad);
    CHECK(pieces.lines == whole.lines);
  }
}

can::Databases databases_of(std::initializer_list<std::pair<std::string, std::string_view>> files) {
  can::Databases databases;
  for (const auto& [bus, text] : files) {
    auto database = can::parse_dbc(std::string(text));
    REQUIRE(database);
    databases.add(bus, *std::move(database));
  }
  return databases;
}

constexpr std::string_view kEngine =
    "BO_ 256 Engine: 8 ECU\n"
    " SG_ Speed : 0|16@1+ (0.1,0) [0|0] \"km/h\" GW\n"
    " SG_ Gear : 16|4@1+ (1,0) [0|0] \"\" GW\n"
    "BO_ 257 Brake: 8 ECU\n"
    " SG_ Pressure : 0|8@1+ (1,0) [0|0] \"bar\" GW\n"
    " SG_ Gear : 8|4@1+ (1,0) [0|0] \"\" GW\n"
    "VAL_ 256 Gear 3 \"third\" ;\n";

// The points of all messages: `milliseconds name=value ...; ...`.
std::string points_of(const Run& run) {
  std::string points;
  for (const std::string& message : run.messages) {
    const auto parsed = nlohmann::ordered_json::parse(message);
    for (const auto& point : parsed["points"]) {
      std::string text = std::to_string(point["timestamp"].get<std::int64_t>() % 1000);
      for (const auto& field : point["fields"])
        text += " " + field["name"].get<std::string>() + "=" + field["value"].dump();
      points += (points.empty() ? "" : "; ") + text;
    }
  }
  return points;
}

TextEncoderOptions json_of_signals() {
  TextEncoderOptions options = with_token("t");
  options.form = Form::kJson;
  options.defaults.device_id = "d";
  return options;
}

TEST_CASE("signals name the fields of JSON messages, and share a point until a name repeats") {
  const std::string log =
      "(1700000000.001000) can0 100#FF001300\n"
      "(1700000000.001500) can0 101#0702\n"
      "(1700000000.001900) can0 100#00000300\n"
      "(1700000000.002000) can0 102#00\n"
      "(1700000000.002000) can0 101#07\n";
  const Run run = encode(json_of_signals(), log, 5, databases_of({{"", kEngine}}));
  REQUIRE(run.result);
  CHECK(points_of(run) == "1 Speed=25.5 Engine.Gear=3 Pressure=7 Brake.Gear=2; 1 Speed=0 Engine.Gear=3; 2 Pressure=7");
  CHECK(run.counts.unknown == 1);
  CHECK(run.counts.partial == 1);

  TextEncoderOptions options = json_of_signals();
  options.names = SignalNames::kLong;
  options.choices = true;
  const Run with_texts = encode(options, "(1700000000.001000) can0 100#FF000300\n", 5, databases_of({{"", kEngine}}));
  CHECK(points_of(with_texts) == R"(1 Engine.Speed=25.5 Engine.Gear=3 Engine.Gear_text="third")");
}

TEST_CASE("a database bound to a bus is for that bus only, by name or number") {
  const std::string log = "(1700000000.001) can0 101#07\n(1700000000.002) can1 101#08\n";
  for (const std::string bus : {"1", "can1"}) {
    const Run run = encode(json_of_signals(), log, 9, databases_of({{bus, kEngine}}));
    CHECK(points_of(run) == "2 Pressure=8");
    CHECK(run.counts.unknown == 1);
  }
}

TEST_CASE("a rate keeps the newest frame of each interval, in binary messages too") {
  std::string log;
  for (int i = 0; i < 3000; ++i)
    log += fmt::format("({}.{:03}000) can0 123#{:08X}\n", 1'700'000'000 + i / 1000, i % 1000, i);
  can::Sampler sampler;
  const auto rule = can::parse_select("0x123:10");
  REQUIRE(rule);
  REQUIRE(sampler.add(*rule, {}));
  const Run run = encode(with_token("t"), log, 1000, can::Databases(), std::move(sampler));
  std::vector<std::uint32_t> kept;
  for (const std::string& message : run.messages) {
    auto decoder = BinaryDecoder::open(as_bytes(message));
    REQUIRE(decoder);
    while (*decoder->next_point()) {
      unsigned bus = 0;
      can::Frame frame{};
      while (decoder->next_reading(bus, frame)) kept.push_back(load_be<std::uint32_t>(frame.data.data()));
    }
  }
  REQUIRE(kept.size() == 30);
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(kept[i] == 100 * i + 99);
}

TEST_CASE("an ASC log gives the frames of the candump log it was made from") {
  const std::string asc =
      "date Tue Nov 14 10:13:20.000 pm 2023\n"
      "base hex  timestamps absolute\n"
      "   0.001000 1  123             Rx   d 2 11 22 \n"
      "   0.002000 2  1ABCDEF0x       Rx   d 1 FF\n";
  TextEncoderOptions options = with_token("t");
  options.frames.times.local_to_utc = [](std::int64_t second) { return second; };
  const Run from_asc = encode(options, asc, 3);
  const Run from_candump =
      encode(with_token("t"), "(1700000000.001000) can0 123#1122\n(1700000000.002000) can1 1ABCDEF0#FF\n");
  REQUIRE(from_asc.result);
  CHECK(from_asc.messages == from_candump.messages);
}

}  // namespace
}  // namespace fieldpipe::flexconnect
