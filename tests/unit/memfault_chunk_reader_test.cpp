// SPDX-License-Identifier: MIT
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "memfault/chunk_reader.h"
#include "memfault/console_text.h"
#include "memfault_vectors.h"
#include "record/framing.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789ABCDEF";

// Both payloads of the chunk-relay page.
const std::string kFirst =
    "485402a702010301076a5445535453455249414c0a6d746573742d736f667477617265096a312e302e302d746573";
const std::string kSecond = "802c74066d746573742d686172647761726504a101a1726368756e6b5f746573745f737563636573730131e4";

// `2:15 DEV KEY 0802..` or `2:15 ! reason`: number, line, and what there is.
using Lines = std::vector<std::string>;

struct Outcome {
  Lines records;
  std::optional<std::string> error;
  ChunkForm form = ChunkForm::kAuto;
  bool operator==(const Outcome&) const = default;
};

// Reads `input` as it comes in steps of `step_bytes`.
Outcome read(std::string_view input, ChunkReaderOptions options, std::size_t step_bytes) {
  ChunkReader reader(std::move(options));
  Outcome outcome;
  std::size_t begin = 0;
  std::size_t end = 0;
  for (;;) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    const std::vector<char> window(input.begin() + static_cast<std::ptrdiff_t>(begin),
                                   input.begin() + static_cast<std::ptrdiff_t>(end));
    const bool at_end = end == input.size();
    const auto step = reader.next(as_bytes({window.data(), window.size()}), at_end);
    outcome.form = reader.form();
    if (!step) {
      outcome.error = step.error().what;
      return outcome;
    }
    if (step->record != nullptr) {
      const ChunkRecord& record = *step->record;
      std::string line = std::to_string(record.number) + ":" + std::to_string(record.line);
      if (!record.device.empty()) line.append(" ").append(record.device);
      if (!record.project_key.empty()) line.append(" ").append(record.project_key);
      line.append(record.refused() ? " ! " + record.refusal : " " + to_hex(record.chunk));
      CHECK(record.refused() == record.chunk.empty());
      outcome.records.push_back(std::move(line));
    }
    begin += step->used_bytes;
    if (step->record == nullptr) {
      if (at_end) return outcome;
      end = std::min(input.size(), end + step_bytes);
    }
  }
}

// The same whatever the steps are.
Outcome read(std::string_view input, ChunkForm form = ChunkForm::kAuto, std::size_t max_record_bytes = 1 << 20) {
  const ChunkReaderOptions options{.form = form, .max_record_bytes = max_record_bytes};
  Outcome whole = read(input, options, input.size() + 1);
  for (const std::size_t step_bytes : {1U, 2U, 3U, 7U}) CHECK(read(input, options, step_bytes) == whole);
  for (std::size_t cut = 1; cut < input.size(); ++cut) CHECK(read(input, options, cut) == whole);
  return whole;
}

Lines records(std::string_view input, ChunkForm form = ChunkForm::kAuto, std::size_t max_record_bytes = 1 << 20) {
  const Outcome outcome = read(input, form, max_record_bytes);
  CHECK_MESSAGE(!outcome.error, outcome.error.value_or(""));
  return outcome.records;
}

std::string error(std::string_view input, ChunkForm form = ChunkForm::kAuto, std::size_t max_record_bytes = 1 << 20) {
  return read(input, form, max_record_bytes).error.value_or("none");
}

std::string base64(std::string_view hex) {
  std::string out;
  append_base64(out, as_bytes(from_hex(hex)));
  return out;
}

std::string frames(std::initializer_list<std::string_view> chunks) {
  std::string out;
  for (const auto chunk : chunks)
    REQUIRE(record::append_record(out, record::Framing::kFrames, as_bytes(from_hex(chunk))));
  return out;
}

TEST_CASE("the payloads of the relay guide in every form, told by themselves where they can be") {
  const std::string topic = "prod/example/DEMO/memfault/" + std::string(kKey) + "/chunk";
  const std::string named = " DEMO " + std::string(kKey) + " ";
  const auto one = [&](ChunkForm asked, ChunkForm told, const std::string& input, const Lines& expected) {
    CAPTURE(input);
    CHECK(read(input, asked) == Outcome{expected, std::nullopt, told});
  };
  using enum ChunkForm;
  const Lines lines = {"1:1 " + kFirst, "2:2 " + kSecond};
  for (const ChunkForm asked : {kAuto, kHex}) {
    one(asked, kHex, kFirst + "\n" + kSecond + "\n", lines);
    one(asked, kHex, kFirst + "\r\n" + kSecond, lines);
  }
  one(kBase64, kBase64, base64(kFirst) + "\n" + base64(kSecond) + "\n", lines);
  for (const ChunkForm asked : {kAuto, kFrames})
    one(asked, kFrames, frames({kFirst, kSecond}), {"1:0 " + kFirst, "2:0 " + kSecond});
  one(kWhole, kWhole, from_hex(kFirst), {"1:0 " + kFirst});
  for (const ChunkForm asked : {kAuto, kConsole}) {
    one(asked, kConsole, "[1] <inf> MC:" + base64(kFirst) + ":\n[2] MC:" + base64(kSecond) + ":\n", lines);
    one(asked, kConsole, "\x1b[32mMC:" + base64(kFirst) + ":\x1b[0m MC:" + base64(kSecond) + ":\r",
        {"1:1 " + kFirst, "2:1 " + kSecond});
  }
  const auto ndjson = [&](const std::string& hex) {
    return R"({"device":"DEMO","project_key":")" + std::string(kKey) + R"(","chunk":")" + base64(hex) + "\"}\n";
  };
  const Lines of_device = {"1:1" + named + kFirst, "2:2" + named + kSecond};
  for (const ChunkForm asked : {kAuto, kNdjson}) one(asked, kNdjson, ndjson(kFirst) + ndjson(kSecond), of_device);
  const auto event = [&](const std::string& hex) {
    return R"({"topic":")" + topic + R"(","data":")" + base64(hex) + "\"}\n";
  };
  for (const ChunkForm asked : {kAuto, kEvents}) one(asked, kEvents, event(kFirst) + event(kSecond), of_device);
  const auto envelope = [&](const std::string& hex) {
    return R"({"topic":")" + topic + R"(","payload_b64":")" + base64(hex) + "\",\"qos\":1}\n";
  };
  for (const ChunkForm asked : {kAuto, kEnvelope})
    one(asked, kEnvelope, envelope(kFirst) + envelope(kSecond), of_device);
}

TEST_CASE("the recorded console") {
  const auto expected = read_vectors("console_export.json");
  std::vector<std::pair<std::size_t, std::string>> chunks;
  std::vector<std::size_t> refused;
  const std::string text = read_file("console_export.txt");
  ChunkReader reader({.form = ChunkForm::kAuto});
  std::size_t at = 0;
  for (;;) {
    const auto step = reader.next(as_bytes(std::string_view(text).substr(at)), true);
    REQUIRE(step);
    at += step->used_bytes;
    if (step->record == nullptr) break;
    if (step->record->refused())
      refused.push_back(step->record->line);
    else
      chunks.emplace_back(step->record->line, to_hex(step->record->chunk));
  }
  CHECK(at == text.size());
  CHECK(reader.form() == ChunkForm::kConsole);
  REQUIRE(chunks.size() == expected["chunks"].size());
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    CHECK(chunks[i].first == expected["chunks"][i]["line"].get<std::size_t>());
    CHECK(chunks[i].second == expected["chunks"][i]["chunk_hex"].get<std::string>());
  }
  // All that is recorded as no chunk is reported, but for the compact log.
  std::vector<std::size_t> not_chunks;
  for (const auto& each : expected["not_chunks"]) not_chunks.push_back(each["line"]);
  not_chunks.pop_back();
  CHECK(refused == not_chunks);
}

TEST_CASE("console records: only whole ones") {
  using enum ChunkForm;
  const auto console = [](std::string_view text) { return records(text, kConsole); };
  CHECK(console("MC:AAAA:") == Lines{"1:1 000000"});
  CHECK(console("x\n\nMC:AAAA:MC:AQ==:\nMMC:AgI=:") == Lines{"1:3 000000", "2:3 01", "3:4 0202"});
  CHECK(console("MC: AAAA: MC,AAAA MC") == Lines{});
  CHECK(console("ML:AAAA:") == Lines{});
  CHECK(console("MC::") == Lines{"1:1 ! empty MC: record"});
  CHECK(console("MC:AAAA\nMC:AAAA:") == Lines{"1:1 ! MC: record without its closing colon", "2:2 000000"});
  CHECK(console("MC:AAAA") == Lines{"1:1 ! MC: record without its closing colon"});
  CHECK(console("MC:AA A:") == Lines{"1:1 ! MC: record without its closing colon"});
  CHECK(console("MC:AA\rAA:") == Lines{"1:1 ! MC: record without its closing colon"});
  CHECK(console("MC:AA_A:") == Lines{"1:1 ! MC: record with the character '_'"});
  CHECK(console("MC:AAAAA:") == Lines{"1:1 ! MC: record of 5 characters, not a multiple of 4"});
  CHECK(console("MC:A=AA:") == Lines{"1:1 ! MC: record: not a base64 character"});
  CHECK(console("MC:AB==:") == Lines{"1:1 ! MC: record: base64 with bits left over"});
  // Two tasks that print at once.
  CHECK(console("MC:SFQCMC:AAAA:") == Lines{"1:1 ! MC: record that runs into the next one", "2:1 000000"});
  CHECK(console("MC:SFMC:AAAA:") == Lines{"1:1 ! MC: record that runs into the next one", "2:1 000000"});
  CHECK(records("MC:AAAA: MC:AAAAAAAA:", kConsole, 3) ==
        Lines{"1:1 000000", "2:1 ! MC: record longer than the limit of 3B"});
}

TEST_CASE("what a window must hold of a console is bounded") {
  std::string chunk;
  const std::string text = "MC:" + std::string(100'000, 'A');
  const ConsoleStep step = scan_console(text, false, 1000, chunk);
  REQUIRE(step.found);
  CHECK_FALSE(*step.found);
  CHECK(step.used_bytes == 3 + 1336 + 1);
  CHECK(scan_console(std::string(100'000, 'M'), false, 1000, chunk).used_bytes == 99'999);
}

TEST_CASE("records that are refused, and the ones behind them") {
  using enum ChunkForm;
  CHECK(records("0802\n080\nzz\n\n 00 \n", kHex) ==
        Lines{"1:1 0802", "2:2 ! odd number of hex digits: 3", "3:3 ! not a hex digit", "4:5 00"});
  CHECK(records("000000\n0000\n00000000\n00", kHex, 2) ==
        Lines{"1:1 ! chunk of 3 bytes, the limit is 2B", "2:2 0000",
              "3:3 ! line longer than a chunk at the limit of 2B takes", "4:4 00"});
  CHECK(records("0000000000", kHex, 2) == Lines{"1:1 ! line longer than a chunk at the limit of 2B takes"});
  CHECK(records("AA=A\nAAA\nAAAA", kBase64) ==
        Lines{"1:1 ! not a base64 character", "2:2 ! base64 of 3 characters, must be a multiple of 4", "3:3 000000"});
  CHECK(records(frames({"", "00"}), kFrames) == Lines{"1:0 ! empty chunk", "2:0 00"});
  CHECK(records("", kWhole) == Lines{"1:0 ! empty chunk"});
  CHECK(records(frames({"00", "001122", "33"}), kAuto, 2) ==
        Lines{"1:0 00", "2:0 ! chunk of 3 bytes, the limit is 2B", "3:0 33"});
  CHECK(records("abc", kWhole, 2) == Lines{"1:0 ! chunk of 3 bytes, the limit is 2B"});
  CHECK(records("", kAuto) == Lines{});
  CHECK(records("\n \r\n", kAuto) == Lines{});
}

TEST_CASE("JSON records that are refused") {
  using enum ChunkForm;
  const auto ndjson = [](std::string_view line) { return records(line, kNdjson); };
  CHECK(ndjson(R"({"chunk":"AA==","device":"d","more":[1]})") == Lines{"1:1 d 00"});
  CHECK(ndjson(R"({"chunk":"AA=="})") == Lines{"1:1 ! no device"});
  CHECK(ndjson(R"({"device":"d"})") == Lines{"1:1 ! no chunk"});
  CHECK(ndjson(R"({"device":"d","chunk":""})") == Lines{"1:1 ! empty chunk"});
  CHECK(ndjson(R"({"device":"d","chunk":"A"})") ==
        Lines{"1:1 ! chunk: base64 of 1 characters, must be a multiple of 4"});
  CHECK(ndjson(R"({"device":"","chunk":"AA=="})") == Lines{"1:1 ! the device serial is empty"});
  CHECK(ndjson(R"({"device":"..","chunk":"AA=="})") ==
        Lines{"1:1 ! device serial '..' has a character that is none of A-Z a-z 0-9 _ -"});
  CHECK(ndjson(R"({"device":"a\r\n","chunk":"AA=="})") ==
        Lines{"1:1 ! device serial 'a\\r\\n' has a character that is none of A-Z a-z 0-9 _ -"});
  CHECK(ndjson(R"({"device":"a\u0000","chunk":"AA=="})") ==
        Lines{"1:1 ! device serial 'a\\x00' has a character that is none of A-Z a-z 0-9 _ -"});
  CHECK(ndjson(R"({"device":"d","chunk":"AA==","project_key":"k"})") ==
        Lines{"1:1 ! project key of 1 characters, a key has 32"});
  CHECK(ndjson(R"({"device":"d","device":"e","chunk":"AA=="})") == Lines{"1:1 ! device: key stands twice"});
  CHECK(ndjson(R"({"device":1,"chunk":"AA=="})") == Lines{"1:1 ! device: must be a string, is a number"});
  CHECK(ndjson("{\"device\":\"d\",\"chunk\":\"AA==\"") ==
        Lines{"1:1 ! JSON text without its end, or with more behind it"});
  const auto events = [](std::string_view line) { return records(line, kEvents); };
  CHECK(events(R"({"topic":"prod/b/d/memfault/x/log","data":"AA=="})") ==
        Lines{"1:1 ! the topic does not match prod/+/+/memfault/+/chunk"});
  CHECK(events(R"({"topic":"prod/b//memfault/x/chunk","data":"AA=="})") == Lines{"1:1 ! the device serial is empty"});
  CHECK(events(R"({"topic":"prod/b/d/memfault/x/chunk","data":"AA=="})") ==
        Lines{"1:1 ! project key of 1 characters, a key has 32"});
  CHECK(events(R"({"data":"AA=="})") == Lines{"1:1 ! no topic"});
  CHECK(events(R"({"topic":"x"})") == Lines{"1:1 ! no data"});
  CHECK(records(R"({"topic":"x","payload":"y","retain":true})", kEnvelope) ==
        Lines{"1:1 ! a retained message, which is a replay"});
}

TEST_CASE("what ends the reading") {
  using enum ChunkForm;
  CHECK(error(frames({"00"}) + "x") == "record 2: no frame header where one must be");
  CHECK(error(frames({"0011"}).substr(0, 9)) == "record 1: input ends in a frame, 1 of 2 bytes");
  // A length that nothing stands for.
  CHECK(error(frames({"00"}) + from_hex("00667031ffffffff00"), kAuto, 2) ==
        "record 2: input ends in a frame, 1 of 4294967295 bytes");
  CHECK(error("{}\n") == "line 1: a JSON object without a chunk");
  CHECK(error("{\"device\":\n") == "line 1: JSON text without its end, or with more behind it");
}

TEST_CASE("an input whose form is told by its first record") {
  using enum ChunkForm;
  CHECK(read("\n\n00\n").form == kHex);
  CHECK(read("000\nMC:AAAA:\n").form == kConsole);
  CHECK(read(" {\"chunk\":\"\"}").form == kNdjson);
  CHECK(read("{\"topic\":\"\",\"data\":\"\",\"chunk\":\"\"}").form == kNdjson);
  CHECK(read("{\"data\":\"\",\"topic\":\"\"}").form == kEvents);
  CHECK(read("{\"payload\":\"\",\"topic\":\"\"}").form == kEnvelope);
  CHECK(read(std::string_view("\0fp", 3)).form == kFrames);  // one that was cut
  CHECK(read("\xFF\xFE").form == kConsole);

  ChunkReader reader({.form = kAuto});
  REQUIRE(reader.next(as_bytes("00\n"), true));
  CHECK(reader.form() == kHex);
  reader.begin_input();
  const auto step = reader.next(as_bytes("MC:AAAA:"), true);
  REQUIRE(step);
  CHECK(reader.form() == kConsole);
  CHECK(step->record->number == 2);
  CHECK(step->record->line == 1);
}

TEST_CASE("the chunks of other framings, once those are taken off") {
  for (const auto& vector : read_vectors("file_framings.json")) {
    const std::string file = from_hex(vector["file_hex"].get<std::string>());
    std::string framed;
    Lines expected;
    for (const std::string& chunk : chunks_of(vector["chunks"])) {
      CHECK(file.find(chunk) != std::string::npos);
      REQUIRE(record::append_record(framed, record::Framing::kFrames, as_bytes(chunk)));
      expected.push_back(std::to_string(expected.size() + 1) + ":0 " + to_hex(as_bytes(chunk)));
    }
    CHECK(records(framed) == expected);
  }
}

TEST_CASE("what was refused, in a word and as it came, but for keys") {
  const auto refused = [](std::string_view input, ChunkReaderOptions options) {
    ChunkReader reader(std::move(options));
    const auto step = reader.next(as_bytes(input), true);
    REQUIRE(step);
    REQUIRE(step->record != nullptr);
    CHECK((!step->record->refused() || step->record->raw_bytes >= step->record->raw.size()));
    return std::string(step->record->reason) + ": " + std::string(step->record->raw);
  };
  using enum ChunkForm;
  const ChunkReaderOptions whole_records{.form = kHex, .whole_records = true};
  CHECK(refused("0802", whole_records) == "unterminated: 0802");
  CHECK(refused("0802\n", whole_records) == ": ");
  CHECK(refused("0802", {.form = kHex}) == ": ");
  CHECK(refused(R"({"device":"d","chunk":"AAAA"})", {.form = kNdjson, .whole_records = true}) == ": ");
  CHECK(refused("08z2\n", {.form = kHex}) == "bad-record: 08z2");
  CHECK(refused("x MC:A===: y\n", {.form = kConsole}) == "bad-record: MC:A===:");
  CHECK(refused(R"({"device":"../d","chunk":"QUJD"})", {.form = kNdjson}) == "bad-device-id: ABC");
  CHECK(refused(R"({"device":"d","chunk":"QUJD","project_key":"short"})", {.form = kNdjson}) == "bad-key: ABC");
  CHECK(refused(R"({"topic":"else","data":"QUJD"})", {.form = kEvents}) == "bad-topic: ABC");
  CHECK(refused(R"({"topic":"prod/b/d/memfault/0123456789abcdef0123456789abcdef/chunk","data":"A"})",
                {.form = kEvents}) ==
        R"(bad-record: {"topic":"prod/b/d/memfault/********************************/chunk","data":"A"})");
  CHECK(refused(frames({""}), {.form = kFrames}) == "empty: ");
  CHECK(refused("000000\n", {.form = kHex, .max_record_bytes = 2}) == "oversize: 000000");
  CHECK(refused("0000000000\n", {.form = kHex, .max_record_bytes = 2}) == "oversize: 0000000000");
  const ChunkReaderOptions whole_frames{.form = kFrames, .whole_records = true, .max_record_bytes = 2};
  CHECK(refused(frames({"616263"}), whole_frames) == "oversize: abc");
  CHECK(refused(frames({"6162"}).substr(0, 9), whole_frames) == "unterminated: " + frames({"6162"}).substr(0, 9));
  CHECK(refused(frames({"6162"}).substr(0, 7), whole_frames) == "unterminated: " + frames({"6162"}).substr(0, 7));
  // Of one above the limit there is the start as well.
  const std::string cut = frames({"6162636465"}).substr(0, 11);
  CHECK(refused(cut, whole_frames) == "unterminated: abc");
}

TEST_CASE("of what is too long the start and the length are kept, in bounded memory") {
  using enum ChunkForm;
  constexpr std::size_t kLong = 3'000'000;
  const std::string body(kLong, '0');
  std::string frame;
  REQUIRE(record::append_record(frame, record::Framing::kFrames, as_bytes(body)));
  for (const auto& [form, input] : {std::pair{kFrames, frame}, {kWhole, body}, {kHex, body + "\n"}, {kHex, body}}) {
    ChunkReader reader({.form = form, .whole_records = true, .max_record_bytes = 1000});
    std::size_t begin = 0;
    std::size_t end = 0;
    for (;;) {
      const auto step = reader.next(as_bytes(std::string_view(input).substr(begin, end - begin)), end == input.size());
      REQUIRE(step);
      begin += step->used_bytes;
      if (const ChunkRecord* const record = step->record) {
        CHECK(record->reason == "oversize");
        CHECK((record->raw == std::string(4096, '0')));
        CHECK(record->raw_bytes == kLong);
        CHECK(begin == input.size());
        break;
      }
      CHECK(end - begin <= 3000);
      end = std::min(input.size(), end + 1000);
    }
  }
}

TEST_CASE("a frame that the input ends in is told once, wherever it ends") {
  const std::string input = frames({"0011", "00112233"});
  for (std::size_t size = 11; size < input.size(); ++size) {
    for (const std::size_t step_bytes : {std::size_t{1}, size}) {
      const Outcome outcome =
          read(input.substr(0, size), {.form = ChunkForm::kFrames, .whole_records = true, .max_record_bytes = 2},
               step_bytes);
      CHECK(outcome.records.size() == 2);
      CHECK(outcome.records.back().starts_with("2:0 ! record 2: input ends in a frame"));
      CHECK(!outcome.error);
    }
  }
}

}  // namespace
}  // namespace fieldpipe::memfault
