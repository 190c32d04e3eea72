// SPDX-License-Identifier: MIT
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "record/framing.h"

using namespace fieldpipe;
using namespace fieldpipe::record;
using namespace std::string_literals;
using std::string_view_literals::operator""sv;

namespace {

struct Outcome {
  std::vector<std::string> records;
  std::string error;  // "what at byte N", empty for none
  bool operator==(const Outcome&) const = default;
};

doctest::String toString(const Outcome& outcome) {
  std::string text;
  for (const std::string& record : outcome.records) text += "[" + record + "]";
  return (text + " " + outcome.error).c_str();
}

// Splits `input` as it arrives: its first `first` bytes, and the rest when those do not suffice.
Outcome split(Framing framing, std::string_view input, std::size_t first, std::size_t max_record_bytes = 100) {
  Outcome outcome;
  Splitter splitter(framing, max_record_bytes);
  std::size_t begin = 0;
  std::size_t end = std::min(first, input.size());
  for (;;) {
    const auto step = splitter.next(as_bytes(input.substr(begin, end - begin)), end == input.size());
    if (!step) {
      CHECK(step.error().code == ErrorCode::kBadData);
      outcome.error = step.error().what + " at byte " + std::to_string(step.error().offset.value());
      return outcome;
    }
    if (step->record) {
      outcome.records.emplace_back(as_text(*step->record));
      begin += step->used_bytes;
      CHECK(splitter.count() == outcome.records.size());
    } else if (end == input.size()) {
      return outcome;
    } else {
      end = input.size();
    }
  }
}

Outcome split(Framing framing, std::string_view input) { return split(framing, input, input.size()); }

std::string frame(std::string_view record) {
  std::string out;
  REQUIRE(append_record(out, Framing::kFrames, as_bytes(record)));
  return out;
}

}  // namespace

TEST_CASE("what each framing writes") {
  const std::array<std::pair<Framing, std::string_view>, 6> expected{{{Framing::kLines, "hi\n"},
                                                                      {Framing::kFrames, "\0fp1\0\0\0\2hi"sv},
                                                                      {Framing::kWhole, "hi"},
                                                                      {Framing::kNul, "hi\0"sv},
                                                                      {Framing::kHex, "6869\n"},
                                                                      {Framing::kBase64, "aGk=\n"}}};
  for (const auto& [framing, text] : expected) {
    std::string out = "=";
    CHECK(append_record(out, framing, as_bytes("hi")));
    CHECK(out == "=" + std::string(text));
  }
}

TEST_CASE("a record that could not be told apart afterwards is not written") {
  std::string out = "=";
  const auto line = append_record(out, Framing::kLines, as_bytes("a\nb"));
  REQUIRE_FALSE(line);
  CHECK(line.error().code == ErrorCode::kBadData);
  CHECK(line.error().what == "a record with a line feed is not one line");
  CHECK(line.error().hint == "--to frames, hex or base64");
  const auto nul = append_record(out, Framing::kNul, as_bytes("a\0b"sv));
  REQUIRE_FALSE(nul);
  CHECK(nul.error().what == "a record with a NUL byte cannot end in one");
  CHECK(append_record(out, Framing::kAuto, as_bytes("a")).error().code == ErrorCode::kBug);
  CHECK(out == "=");
}

TEST_CASE("every framing comes back, split at every byte") {
  const std::string binary = "\0\n\xFF"s;
  const std::vector<std::pair<Framing, std::vector<std::string>>> streams{
      {Framing::kLines, {"a", "", "b\r", "\xFF\0"s}},
      {Framing::kFrames, {"a", "", binary, frame("in"), std::string(100, 'x')}},
      {Framing::kNul, {"a", "", "b\n\xFF"}},
      {Framing::kHex, {"a", "", binary}},
      {Framing::kBase64, {"a", "", binary, "four"}},
      {Framing::kWhole, {binary}},
  };
  for (const auto& [framing, records] : streams) {
    std::string stream;
    for (const std::string& record : records) REQUIRE(append_record(stream, framing, as_bytes(record)));
    for (std::size_t first = 0; first <= stream.size(); ++first) {
      CAPTURE(first);
      CHECK(split(framing, stream, first) == Outcome{records, ""});
    }
  }
}

TEST_CASE("auto finds frames and text lines, split at every byte") {
  const std::string frames = frame("one") + frame("\n") + frame("");
  const std::string lines = "one\r\n\nthr\xC3\xA9"s + "e";
  for (std::size_t first = 0; first <= frames.size(); ++first) {
    CHECK(split(Framing::kAuto, frames, first) == Outcome{{"one", "\n", ""}, ""});
  }
  for (std::size_t first = 0; first <= lines.size(); ++first) {
    CHECK(split(Framing::kAuto, lines, first) == Outcome{{"one\r", "", "thr\xC3\xA9"s + "e"}, ""});
  }
  Splitter splitter(Framing::kAuto, 100);
  CHECK(splitter.framing() == Framing::kAuto);
  CHECK_FALSE(splitter.next(as_bytes("\0fp"sv), false)->record);
  CHECK(splitter.framing() == Framing::kAuto);
  CHECK(splitter.next(as_bytes(frames), false)->used_bytes == 11);
  CHECK(splitter.framing() == Framing::kFrames);
}

TEST_CASE("auto passes nothing on of a line that is not text") {
  for (std::size_t first = 0; first <= 6; ++first) {
    CHECK(split(Framing::kAuto, "a\nb\0c\n"sv, first) ==
          Outcome{{"a"}, "record 2: a NUL byte in what should be a text line at byte 3"});
    CHECK(split(Framing::kAuto,
                "a\nb\xFF"
                "c\n",
                first) == Outcome{{"a"}, "record 2: invalid UTF-8 in what should be a text line at byte 3"});
  }
  // Binary data without a line feed is named before the limit of a line is.
  Splitter splitter(Framing::kAuto, 100);
  const auto step = splitter.next(as_bytes("\0\0\0\1x\0"sv), false);
  REQUIRE_FALSE(step);
  CHECK(step.error().hint == "--from whole publishes or reads it as one record, --from lines as it is");
  // A character that is not complete yet may become one.
  Splitter patient(Framing::kAuto, 100);
  CHECK(patient.next(as_bytes("caf\xC3"), false));
  CHECK(split(Framing::kAuto, "caf\xC3").error == "record 1: invalid UTF-8 in what should be a text line at byte 3");
  // Lines that were asked for as such are not judged.
  CHECK(split(Framing::kLines, "b\0c\n\xFF\n"sv) == Outcome{{"b\0c"s, "\xFF"}, ""});
}

TEST_CASE("the last line and the last NUL may be missing") {
  CHECK(split(Framing::kLines, "a\nb") == Outcome{{"a", "b"}, ""});
  CHECK(split(Framing::kNul, "a\0b"sv) == Outcome{{"a", "b"}, ""});
  CHECK(split(Framing::kLines, "\n") == Outcome{{""}, ""});
  for (const Framing framing : {Framing::kAuto, Framing::kLines, Framing::kFrames, Framing::kNul, Framing::kHex}) {
    CHECK(split(framing, "") == Outcome{});
  }
  CHECK(split(Framing::kWhole, "") == Outcome{{""}, ""});
}

TEST_CASE("a truncated frame is an error at every byte and never a short record") {
  const std::string stream = frame("one") + frame("second");
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    CAPTURE(size);
    const Outcome outcome = split(Framing::kFrames, std::string_view(stream).substr(0, size));
    if (size == 0) {
      CHECK(outcome == Outcome{});
    } else if (size < 8) {
      CHECK(outcome == Outcome{{},
                               "record 1: input ends in a frame header, " + std::to_string(size) +
                                   " of 8 bytes at byte " + std::to_string(size)});
    } else if (size < 11) {
      CHECK(outcome == Outcome{{},
                               "record 1: input ends in a frame, " + std::to_string(size - 8) + " of 3 bytes at byte " +
                                   std::to_string(size)});
    } else if (size == 11) {
      CHECK(outcome == Outcome{{"one"}, ""});
    } else if (size < 19) {
      CHECK(outcome == Outcome{{"one"},
                               "record 2: input ends in a frame header, " + std::to_string(size - 11) +
                                   " of 8 bytes at byte " + std::to_string(size)});
    } else if (size < 25) {
      CHECK(outcome == Outcome{{"one"},
                               "record 2: input ends in a frame, " + std::to_string(size - 19) +
                                   " of 6 bytes at byte " + std::to_string(size)});
    } else {
      CHECK(outcome == Outcome{{"one", "second"}, ""});
    }
  }
}

TEST_CASE("damage between frames is seen at the next header") {
  CHECK(split(Framing::kFrames, frame("one") + "x" + frame("two")) ==
        Outcome{{"one"}, "record 2: no frame header where one must be at byte 11"});
  CHECK(split(Framing::kFrames, "one\n") == Outcome{{}, "record 1: no frame header where one must be at byte 0"});
}

TEST_CASE("every framing has a limit of a record") {
  const std::string most(100, 'x');
  const std::string above(101, 'x');
  for (const Framing framing : {Framing::kLines, Framing::kAuto, Framing::kNul, Framing::kWhole}) {
    CHECK(split(framing, most) == Outcome{{most}, ""});
    CHECK(split(framing, above) == Outcome{{}, "record 1: longer than the limit of 100B at byte 0"});
  }
  CHECK(split(Framing::kLines, "\n" + above + "\n") ==
        Outcome{{""}, "record 2: longer than the limit of 100B at byte 1"});
  CHECK(split(Framing::kFrames, frame(most)) == Outcome{{most}, ""});
  CHECK(split(Framing::kFrames, frame(above)) ==
        Outcome{{}, "record 1: frame of 101 bytes, the limit is 100B at byte 4"});
  CHECK(split(Framing::kFrames, "\0fp1\xFF\xFF\xFF\xFF"sv).error ==
        "record 1: frame of 4294967295 bytes, the limit is 100B at byte 4");
  for (const Framing framing : {Framing::kHex, Framing::kBase64}) {
    std::string stream;
    REQUIRE(append_record(stream, framing, as_bytes(most)));
    CHECK(split(framing, stream) == Outcome{{most}, ""});
    stream.clear();
    REQUIRE(append_record(stream, framing, as_bytes(above)));
    CHECK(split(framing, stream) == Outcome{{}, "record 1: longer than the limit of 100B at byte 0"});
  }
}

TEST_CASE("hex and base64 lines may have white space around them and nothing else") {
  CHECK(split(Framing::kHex, " 00fF\r\n\n") == Outcome{{"\x00\xFF"s, ""}, ""});
  CHECK(split(Framing::kHex, "00\n0g\n") == Outcome{{"\0"s}, "record 2: not a hex digit at byte 4"});
  CHECK(split(Framing::kHex, "000\n") == Outcome{{}, "record 1: odd number of hex digits: 3 at byte 2"});
  CHECK(split(Framing::kBase64, "\taGk=\r\n") == Outcome{{"hi"}, ""});
  CHECK(split(Framing::kBase64, "aGk\n") ==
        Outcome{{}, "record 1: base64 of 3 characters, must be a multiple of 4 at byte 3"});
}
