// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "can/asc.h"

namespace fieldpipe::can {
namespace {

std::string to_candump(const CandumpLine& line) {
  std::string out;
  append_candump(out, line.time_ns, line.interface, line.frame);
  if (!out.empty()) out.pop_back();
  if (line.frame.kind == Kind::kXl) out = "xl";
  if (line.time_base == TimeBase::kRelative) out += " relative";
  if (line.direction != 0) out += std::string(" ") + line.direction;
  return out;
}

// Lines of one file, each as a log line, its class or its fault.
std::vector<std::string> parse(std::initializer_list<std::string_view> lines) {
  AscParser parser;
  std::vector<std::string> out;
  for (const std::string_view text : lines) {
    CandumpLine line;
    switch (parser.parse(text, line)) {
      case LineClass::kFrame: out.push_back(to_candump(line)); break;
      case LineClass::kBad: out.push_back(std::string(line.fault.reason) + ": " + std::string(line.fault.text)); break;
      default: out.emplace_back("note");
    }
  }
  return out;
}

// One line of a file without a header.
std::string parse(std::string_view line) { return parse({line})[0]; }

TEST_CASE("what log2asc writes") {
  const auto lines = parse({
      "date Tue Nov 14 22:13:20 2023",
      "base hex  timestamps absolute",
      "no internal events logged",
      "   0.000000 1  123             Rx   d 2 11 22",
      "   0.876549 2  12345678x       Tx   r 4",
      "   1.376544 CANFD   1 Rx        123                                   1 0 3  3 AA BB CC   130000  130     3000 "
      "0 0 0 0 0",
      "   1.476544 1  123             Rx   r",
      "   1.576544 1  ErrorFrame",
      "   1.600000 1  123x            Rx   d 8 00 11 22 33 44 55 66 77\r",
  });
  const std::vector<std::string> expected{
      "note",
      "note",
      "note",
      "(1700000000.000000) can0 123#1122 R",
      "(1700000000.876549) can1 12345678#R4 T",
      "(1700000001.376544) can0 123##1AABBCC R",
      "(1700000001.476544) can0 123#R R",
      "(1700000001.576544) can0 20000080#0000000000000000",
      "(1700000001.600000) can0 00000123#0011223344556677 R",
  };
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(lines[i] == expected[i]);
}

TEST_CASE("dates in English and German, twelve hours or twenty-four") {
  const auto time_of = [](std::string_view date) { return parse({date, "0.5 1 123 Rx d 0"})[1]; };
  CHECK(time_of("date Tue Nov 14 10:13:20.123 pm 2023") == "(1700000000.623000) can0 123# R");
  CHECK(time_of("date Tue Nov 14 12:13:20 am 2023") == "(1699920800.500000) can0 123# R");
  CHECK(time_of("date Tue Nov 14 12:13:20 PM 2023") == "(1699964000.500000) can0 123# R");
  CHECK(time_of("date Die Dez 26 00:00:00 2023") == "(1703548800.500000) can0 123# R");
  CHECK(time_of("date Die M\xE4r 1 00:00:00 2023") == "(1677628800.500000) can0 123# R");
  CHECK(time_of("date Die M\xC3\xA4r 1 00:00:00 2023") == "(1677628800.500000) can0 123# R");
  CHECK(time_of("date Mon Mai 1 00:00:00 2023") == "(1682899200.500000) can0 123# R");
  CHECK(time_of("date Son Okt 1 00:00:00 2023") == "(1696118400.500000) can0 123# R");
  CHECK(time_of("Begin Triggerblock Tue Nov 14 10:13:20 pm 2023") == "(1700000000.500000) can0 123# R");
  CHECK(time_of("// nothing") == "(0000000000.500000) can0 123# relative R");
  for (const std::string_view date :
       {"Tue Foo 14 10:13:20 2023", "Tue Nov 31 10:13:20 2023", "Tue Nov 14 24:13:20 2023", "Tue Nov 14 10:13 2023",
        "Tue Nov 14 10:13:20 1969", "Tue Nov 14 10:13:20. 2023", ""}) {
    CHECK(parse("date " + std::string(date)) == "date must be as in Tue Nov 14 10:13:20 pm 2023: " + std::string(date));
  }
}

TEST_CASE("the header says what numbers and times mean, on two lines or on one") {
  CHECK(parse({"base dec  timestamps absolute", "0.1 1 291 Rx d 2 17 255", "0.2 1 291 Rx d 1 FF"})[1] ==
        "(0000000000.100000) can0 123#11FF relative R");
  CHECK(parse({"base dec", "0.2 1 291 Rx d 1 FF"})[1] ==
        "data byte must be a number up to 255 in the base of the file: FF");
  const auto relative = parse({"date Tue Nov 14 22:13:20 2023 base hex timestamps relative", "0.5 1 1 Rx d 0",
                               "0.25 Start of measurement", "0.25 1 2 Rx d 0"});
  CHECK(relative[1] == "(1700000000.500000) can0 001# R");
  CHECK(relative[2] == "note");
  CHECK(relative[3] == "(1700000001.000000) can0 002# R");
  CHECK(AscParser::is_header("date Tue Nov 14 22:13:20 2023"));
  CHECK(AscParser::is_header("base hex  timestamps absolute"));
  CHECK_FALSE(AscParser::is_header("  can0  123   [0]"));
  CHECK_FALSE(AscParser::is_header("base"));
}

TEST_CASE("CANFD lines of every kind of frame") {
  CHECK(parse("21.671796 CANFD   1 Tx         11  msgCanFdFr1                      1 0 a 16 00 01 02 03 04 05 06 07 08 "
              "09 0a 0b "
              "0c 0d 59 c0   100000  214   3040 80000000 46500250 460a0250 20011736 20010205") ==
        "(0000000021.671796) can0 011##1000102030405060708090A0B0C0D59C0 relative T");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 2 2 11 22 130000 130 0 0 0 0 0 0") ==
        "(0000000001.000000) can0 123#1122 relative R");
  CHECK(parse("1.0 CANFD 1 Rx 123x Name 0 1 9 12 00 01 02 03 04 05 06 07 08 09 0A 0B 1 1 5000") ==
        "(0000000001.000000) can0 00000123##2000102030405060708090A0B relative R");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 4 0 130000 130 10 0") == "(0000000001.000000) can0 123#R4 relative R");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 f 8 0 1 2 3 4 5 6 7 1 1 0") ==
        "(0000000001.000000) can0 123#0001020304050607_F relative R");
  CHECK(parse("1.0 CANFD 1 Rx 123 1 0 1 1 FF") == "(0000000001.000000) can0 123##1FF relative R");
}

TEST_CASE("CANXL lines carry frames of every kind") {
  CHECK(parse("59.171614 CANXL   2 Rx   CBFF   243215   176      432  msgCanCCTest1 f 8 e1 89 e8 c2 b9 6d 5a f1 174 "
              "00000000 00000000") == "(0000000059.171614) can1 432#E189E8C2B96D5AF1_F relative R");
  CHECK(parse("59.171614 CANXL   2 Rx   CEFF   243215   176      432x 2 2 e1 89 174 00000000 00000000") ==
        "(0000000059.171614) can1 00000432#E189 relative R");
  CHECK(parse("59.171614 CANXL   2 Rx   FBFF   243215   176      432  msgCanFDTest2 9 12 e1 89 e8 c2 b9 6d 5a f1 11 22 "
              "33 44 a 12345 00003240 0") == "(0000000059.171614) can1 432##1E189E8C2B96D5AF111223344 relative R");
  CHECK(parse("59.171614 CANXL   2 Rx   XLFF   984438   4656      432  msgCanXlTest1 e0 0  1fe  511 1 1f96 00 00000000 "
              "e1 89") == "xl relative R");
  CHECK(parse("59.171614 CANXL   2 Rx   ABCD   984438   4656      432") ==
        "frame format must be CBFF, CEFF, FBFF, FEFF or XLFF: ABCD");
}

TEST_CASE("what is no frame is a note") {
  for (const std::string_view line :
       {"", "// version 9.0.0", "internal events logged", "Begin Triggerblock", "End TriggerBlock",
        "0.0 Start of measurement", "1.0 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%", "1.0 SV: 2 0 1 ::x = 1",
        "1.0 LIN 1 Rx", "1.0", "x 1 123 Rx d 0", "1 1 123 Rx d 0", "1.x 1 123 Rx d 0",
        "1.0 1 J1939TP FEE3p 6 0 0 - Rx d 23"}) {
    CAPTURE(line);
    CHECK(parse(line) == "note");
  }
}

TEST_CASE("malformed frames are refused, and what is wrong is named") {
  CHECK(parse("1.0 0 123 Rx d 0") == "channel must be 1 to 255: 0");
  CHECK(parse("1.0 256 123 Rx d 0") == "channel must be 1 to 255: 256");
  CHECK(parse("1.0 1 XYZ Rx d 0") == "identifier must be a number, with x behind it if it has 29 bits: XYZ");
  CHECK(parse("1.0 1 800 Rx d 0") == "identifier above 7FF, or 1FFFFFFF with x: 800");
  CHECK(parse("1.0 1 20000000x Rx d 0") == "identifier above 7FF, or 1FFFFFFF with x: 20000000x");
  CHECK(parse("1.0 1 123 Rx q 0") == "frame must be of kind d or r: q");
  CHECK(parse("1.0 1 123 Rx d") == "length code must be a hex digit: ");
  CHECK(parse("1.0 1 123 Rx d 10") == "length code must be a hex digit: 10");
  CHECK(parse("1.0 1 123 Rx d 2 11") == "fewer data bytes than the length says: ");
  CHECK(parse("1.0 1 123 Rx d 1 100") == "data byte must be a number up to 255 in the base of the file: 100");
  CHECK(parse("1.0 CANFD 1 Up 123 0 0 0 0") == "direction must be Rx or Tx: Up");
  CHECK(parse("1.0 CANFD 1 Rx 123 Name 2 0 0 0") == "BRS and ESI must be 0 or 1: 2");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 f 65") == "data length must be 0 to 64: 65");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 1 1 FF 1 1 zz") == "flags must be a hex number: zz");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 9 12 0 0 0 0 0 0 0 0 0 0 0 0 1 1 0") ==
        "a classic frame holds at most 8 bytes: 0");
  CHECK(parse("1.0 CANFD 1 Rx 123 0 0 2 1 FF 1 1 0") == "length code and data length contradict each other: 0");
  CHECK(parse(std::string(kMaxAscLineBytes + 1, ' ')).starts_with("line above 8192 bytes: "));
}

TEST_CASE("times beyond all clocks stay at the last one") {
  CHECK(parse({"base hex timestamps relative", "9223372035.0 1 1 Rx d 0", "9223372035.0 1 1 Rx d 0"})[2] ==
        "(9223372035.000000) can0 001# relative R");
  CHECK(parse("9223372036.0 1 1 Rx d 0") == "note");
}

TEST_CASE("lines cut at every byte are frames, notes or refused, and never more than they were") {
  const std::string text =
      "59.171614 CANXL 2 Rx FBFF 243215 176 432 Name 9 12 e1 89 e8 c2 b9 6d 5a f1 11 22 33 44 a 12345 00003240 0";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    AscParser parser;
    CandumpLine line;
    if (parser.parse(std::string_view(text).substr(0, size), line) != LineClass::kFrame) continue;
    CHECK(line.frame.kind == Kind::kFd);
    CHECK(line.frame.length_bytes == 12);
  }
}

}  // namespace
}  // namespace fieldpipe::can
