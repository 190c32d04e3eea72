// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "flexconnect/packer.h"
#include "flexconnect/text_decoder.h"
#include "flexconnect/text_encoder.h"
#include "flexconnect_vectors.h"
#include "record/framing.h"

namespace fieldpipe::flexconnect {
namespace {

// A decoder with the writer it needs, without a database.
struct Decoding {
  can::Databases databases;
  can::FrameWriter writer;
  TextDecoder decoder;

  explicit Decoding(can::FrameFormat format, TextDecoderOptions options = {})
      : writer(*can::FrameWriter::create({.format = format}, databases)), decoder(options, writer) {}
};

// All lines of a message, and how it ended.
std::pair<std::string, Result<void>> decode(Decoding& decoding, std::string_view message) {
  std::string out;
  if (auto begun = decoding.decoder.begin(as_bytes(message)); !begun) return {out, std::move(begun)};
  for (;;) {
    auto more = decoding.decoder.more(out, 1);
    if (!more) return {out, fail(std::move(more))};
    if (!*more) return {out, {}};
  }
}

TEST_CASE("the guide's binary example in each format") {
  const std::string message = from_hex(read_vectors("flexconnect-binary.jsonl")[0]["hex"].get<std::string>());
  Decoding ndjson(can::FrameFormat::kNdjson);
  CHECK(
      decode(ndjson, message).first ==
      R"({"time":1622547800.000,"bus":1,"id":291,"extended":false,"fd":false,"dlc":8,"data":"0102030405060708","message_number":1})"
      "\n"
      R"({"time":1622547800.000,"bus":1,"id":1110,"extended":false,"fd":false,"dlc":4,"data":"aabbccdd","message_number":1})"
      "\n"
      R"({"time":1622547800.100,"bus":2,"id":1929,"extended":false,"fd":false,"dlc":6,"data":"112233445566","message_number":1})"
      "\n");
  Decoding candump(can::FrameFormat::kCandump);
  CHECK(decode(candump, message).first ==
        "(1622547800.000000) can1 123#0102030405060708\n"
        "(1622547800.000000) can1 456#AABBCCDD\n"
        "(1622547800.100000) can2 789#112233445566\n");
  Decoding csv(can::FrameFormat::kCsv);
  CHECK(decode(csv, message).first ==
        "1622547800.000,1,291,false,false,8,0102030405060708,1,data\n"
        "1622547800.000,1,1110,false,false,4,aabbccdd,1,data\n"
        "1622547800.100,2,1929,false,false,6,112233445566,1,data\n");
}

TEST_CASE("every good message gives its readings, every bad one none of a broken point") {
  for (const auto& vector : read_vectors("flexconnect-binary.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    std::size_t readings = 0;
    for (const auto& point : vector["points"]) readings += point["readings"].size();
    Decoding decoder(can::FrameFormat::kNdjson);
    const auto [text, ended] = decode(decoder, from_hex(vector["hex"].get<std::string>()));
    CHECK(ended);
    CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == readings);
  }
  for (const auto& vector : read_vectors("flexconnect-binary-bad.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    Decoding decoder(can::FrameFormat::kNdjson);
    const auto [text, ended] = decode(decoder, from_hex(vector["hex"].get<std::string>()));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().code == ErrorCode::kBadData);
    CHECK(std::count(text.begin(), text.end(), '\n') <= 1);
  }
}

TEST_CASE("JSON messages become points that encode to the same message") {
  for (const auto& vector : read_vectors("flexconnect-json.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    Decoding decoder(can::FrameFormat::kNdjson);
    const auto [text, ended] = decode(decoder, vector["text"].get<std::string>());
    CHECK(ended.has_value() == vector["ok"].get<bool>());
    if (!vector["ok"].get<bool>() || vector["message"]["points"].empty()) continue;
    TextEncoderOptions options;
    options.defaults.token = vector["message"]["token"];
    std::string again;
    can::Databases none;
    TextEncoder encoder(options, none, {}, [&](Form, Bytes message) {
      again = as_text(message);
      return Result<void>();
    });
    REQUIRE(encoder.feed(text, true, 0));
    REQUIRE(encoder.finish());
    // Tags that were missing come back as empty ones, which mean the same.
    nlohmann::json expected = vector["message"];
    if (!expected.contains("tags")) expected["tags"] = nlohmann::json::array();
    for (auto& point : expected["points"]) {
      if (!point.contains("tags")) point["tags"] = nlohmann::json::array();
    }
    CHECK(nlohmann::json::parse(again) == expected);
  }
}

TEST_CASE("the token is shown only on request") {
  const std::string message = from_hex(read_vectors("flexconnect-binary.jsonl")[0]["hex"].get<std::string>());
  Decoding silent(can::FrameFormat::kNdjson);
  CHECK(decode(silent, message).first.find("provided_token") == std::string::npos);
  TextDecoderOptions options;
  options.show_token = true;
  Decoding open(can::FrameFormat::kNdjson, options);
  CHECK(decode(open, message).first.find(R"("message_number":1,"token":"provided_token"})") != std::string::npos);
}

TEST_CASE("a JSON message and a time beyond 2262 have no candump form") {
  Decoding decoder(can::FrameFormat::kCandump);
  const auto json = decode(decoder, R"({"device_id":"d","token":"t","points":[]})").second;
  REQUIRE_FALSE(json);
  CHECK(json.error().what == "a JSON message holds points, which are no frames");
  for (const auto& vector : read_vectors("flexconnect-binary.jsonl")) {
    if (vector["name"] != "time-extremes") continue;
    const auto [text, ended] = decode(decoder, from_hex(vector["hex"].get<std::string>()));
    REQUIRE_FALSE(ended);
    CHECK(text == "(0000000000.000000) can0 001#00\n");
    CHECK(ended.error().what == "time 9223372036854775 s is after 2262, which this format cannot hold");
  }
}

TEST_CASE("a log packed on one thread or two gives the same bytes, and itself again") {
  std::string log;
  for (int i = 0; i < 20'000; ++i) {
    char line[64];
    std::snprintf(line, sizeof(line), "(17000000%02d.%03d000) can%d %03X#%08X\n", i / 1000, i % 1000, i % 3, i % 0x7FF,
                  static_cast<unsigned>(i) * 2654435761U);
    log += line;
  }
  const auto pack = [&](unsigned threads, std::optional<int> level) {
    Packer packer(level, threads);
    std::string out;
    TextEncoderOptions options;
    options.limits.max_bytes = 5'000;
    can::Databases none;
    TextEncoder encoder(options, none, {}, [&](Form form, Bytes message) { return packer.add(form, message, out); });
    REQUIRE(encoder.feed(log, true, 0));
    REQUIRE(encoder.finish());
    REQUIRE(packer.drain(out));
    return out;
  };
  const std::string one = pack(1, 6);
  CHECK(one == pack(2, 6));
  CHECK(one.size() < pack(2, std::nullopt).size());
  std::string again;
  Decoding decoder(can::FrameFormat::kCandump);
  record::Splitter splitter(record::Framing::kFrames, 1 << 20);
  std::string_view rest = one;
  for (;;) {
    auto step = splitter.next(as_bytes(rest), true);
    REQUIRE(step);
    if (!step->record) break;
    const auto [text, ended] = decode(decoder, as_text(*step->record));
    CHECK(ended);
    again += text;
    rest.remove_prefix(step->used_bytes);
  }
  CHECK(again == log);
}

TEST_CASE("how an input holds messages is told by its first bytes") {
  using record::Framing;
  CHECK(detect_framing(as_bytes(std::string_view("\0fp1", 4)), false) == Framing::kFrames);
  CHECK(detect_framing(as_bytes(std::string_view("\0f", 2)), false) == std::nullopt);
  CHECK(detect_framing(as_bytes(std::string_view("\0f", 2)), true) == Framing::kWhole);
  CHECK(detect_framing(as_bytes(std::string_view("\0\0\0\x0e", 4)), false) == Framing::kWhole);
  CHECK(detect_framing(as_bytes(std::string_view("\xfc\x1f")), false) == Framing::kWhole);
  CHECK(detect_framing(as_bytes(std::string_view("\x1f\x8b")), false) == Framing::kWhole);
  CHECK(detect_framing(as_bytes(std::string_view("{")), false) == Framing::kLines);
  CHECK(detect_framing({}, false) == std::nullopt);
  CHECK(detect_framing({}, true) == Framing::kLines);
}

TEST_CASE("bus numbers come from mappings and from the end of names, never folded") {
  BusMap buses;
  CHECK(buses.bus_of("can0") == 0);
  CHECK(buses.bus_of("vcan7") == 7);
  CHECK(buses.bus_of("slcan2") == 2);
  CHECK(buses.bus_of("can8") == std::nullopt);
  CHECK(buses.bus_of("can15") == std::nullopt);
  CHECK(buses.bus_of("can") == std::nullopt);
  CHECK(buses.bus_of("5") == 5);
  REQUIRE(buses.add("vehicle=5"));
  REQUIRE(buses.add("a=b=6"));
  CHECK(buses.bus_of("vehicle") == 5);
  CHECK(buses.bus_of("a=b") == 6);
  CHECK(buses.interface_of(5) == "vehicle");
  CHECK(buses.interface_of(4) == "can4");
  for (const std::string_view wrong : {"can0", "can0=8", "=1", "can0=-1", "can0=", "can0=1x"}) {
    const auto refused = buses.add(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what == fmt::format("'{}' is not NAME=N with N from 0 to 7", wrong));
  }
}

}  // namespace
}  // namespace fieldpipe::flexconnect
