// SPDX-License-Identifier: MIT
#include "flexconnect/stream_decoder.h"

#include <string>

#include <doctest/doctest.h>

#include "flexconnect_vectors.h"

namespace fieldpipe::flexconnect {
namespace {

struct Outcome {
  std::string text;
  std::vector<std::string> faults;
  std::string error;
  std::uint64_t bad_lines = 0;
};

// What becomes of an input that arrives in pieces.
Outcome decode(std::string_view input, std::size_t piece, StreamDecoderOptions options = {},
               can::FrameFormat format = can::FrameFormat::kCandump) {
  can::Databases none;
  auto writer = can::FrameWriter::create({.format = format}, none);
  REQUIRE(writer);
  StreamDecoder decoder(options, *writer);
  Outcome outcome;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (;;) {
    auto step = decoder.feed(as_bytes(input.substr(begin, end - begin)), end == input.size(), 0, outcome.text);
    for (const Error& fault : decoder.take_faults()) outcome.faults.push_back(fault.what);
    if (!step) {
      outcome.error = step.error().what;
      break;
    }
    begin += step->used_bytes;
    if (!step->needs_input) continue;
    if (end == input.size()) break;
    end = std::min(input.size(), end + piece);
  }
  outcome.bad_lines = decoder.log().faults().count();
  return outcome;
}

std::string guide_message() { return from_hex(read_vectors("flexconnect-binary.jsonl")[0]["hex"].get<std::string>()); }

constexpr std::string_view kGuideLog =
    "(1622547800.000000) can1 123#0102030405060708\n"
    "(1622547800.000000) can1 456#AABBCCDD\n"
    "(1622547800.100000) can2 789#112233445566\n";

TEST_CASE("the same frames from every form of input, however it is cut") {
  const std::string message = guide_message();
  std::string frames;
  REQUIRE(record::append_record(frames, record::Framing::kFrames, as_bytes(message)));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, std::size_t{4096}}) {
    CHECK(decode(message, piece).text == kGuideLog);
    CHECK(decode(frames, piece).text == kGuideLog);
    CHECK(decode(kGuideLog, piece).text == kGuideLog);
    CHECK(decode(to_hex(as_bytes(message)) + "\n", piece, {.source = StreamSource::kHex}).text == kGuideLog);
    std::string envelope = R"({"topic":"t","payload_b64":")";
    append_base64(envelope, as_bytes(message));
    CHECK(decode(envelope + "\"}\n", piece, {.source = StreamSource::kEnvelope}).text == kGuideLog);
  }
}

TEST_CASE("a broken message is put aside, and the ones after it are decoded") {
  std::string frames;
  REQUIRE(record::append_record(frames, record::Framing::kFrames, as_bytes(guide_message())));
  REQUIRE(record::append_record(frames, record::Framing::kFrames, as_bytes(std::string_view("\0\0", 2))));
  REQUIRE(record::append_record(frames, record::Framing::kFrames, {}));
  REQUIRE(record::append_record(frames, record::Framing::kFrames, as_bytes(guide_message())));
  const Outcome outcome = decode(frames, 7);
  CHECK(outcome.text == std::string(kGuideLog) + std::string(kGuideLog));
  REQUIRE(outcome.faults.size() == 2);
  CHECK(outcome.faults[0].starts_with("record 2: "));
  CHECK(outcome.faults[1] == "record 3: empty message");
  CHECK(outcome.error.empty());
}

TEST_CASE("only the first broken messages are told one by one") {
  std::string frames;
  for (int i = 0; i < 1000; ++i) REQUIRE(record::append_record(frames, record::Framing::kFrames, {}));
  CHECK(decode(frames, 100).faults.size() == 10);
}

TEST_CASE("a cut frame ends the reading after what was good") {
  std::string frames;
  REQUIRE(record::append_record(frames, record::Framing::kFrames, as_bytes(guide_message())));
  const Outcome outcome = decode(frames + frames.substr(0, 20), 7);
  CHECK(outcome.text == kGuideLog);
  CHECK(outcome.error == "record 2: input ends in a frame, 12 of 75 bytes");
}

TEST_CASE("lines of a log that are no frames are counted") {
  const Outcome outcome = decode("\n  \nhello\n(1622547800.000000) can1 456#AABBCCDD\n", 3);
  CHECK(outcome.text == "(1622547800.000000) can1 456#AABBCCDD\n");
  CHECK(outcome.bad_lines == 1);
}

TEST_CASE("empty inputs hold nothing") {
  for (const std::string_view empty : {"", "\n", " \r\n\n"}) {
    const Outcome outcome = decode(empty, 1);
    CHECK(outcome.text.empty());
    CHECK(outcome.faults.empty());
    CHECK(outcome.error.empty());
  }
}

}  // namespace
}  // namespace fieldpipe::flexconnect
