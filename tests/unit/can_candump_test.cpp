// SPDX-License-Identifier: MIT
#include <ctime>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "can/candump.h"
#include "core/bytes.h"

namespace fieldpipe::can {
namespace {

using Json = nlohmann::json;

std::vector<Json> read_vectors() {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/can/candump-lines.jsonl");
  std::vector<Json> vectors;
  for (std::string line; std::getline(file, line);) vectors.push_back(Json::parse(line));
  return vectors;
}

std::string hex(const Frame& frame) {
  std::string text;
  append_hex(text, frame.payload());
  return text;
}

// Everything a frame says as text, so that a failed comparison shows both sides.
std::string describe(const Frame& frame) {
  return Json{{"id", frame.id},
              {"extended", frame.extended},
              {"kind", static_cast<int>(frame.kind)},
              {"length", frame.length_bytes},
              {"dlc", frame.dlc},
              {"brs", frame.bit_rate_switch},
              {"esi", frame.error_state},
              {"data", hex(frame)}}
      .dump();
}

// Everything a line says. Of a bad line not the offending text, which colour codes may widen.
std::string describe(LineClass line_class, const CandumpLine& line) {
  switch (line_class) {
    case LineClass::kFrame:
      return describe(line.frame) + " " + std::to_string(static_cast<int>(line.time_base)) + " " +
             std::to_string(line.time_ns) + " " + std::to_string(line.direction) + " " +
             std::to_string(line.flags_shown) + " " + std::string(line.interface);
    case LineClass::kDropCount: return "dropped " + std::to_string(line.dropped_frames);
    case LineClass::kNote: return "note";
    case LineClass::kBad: return "bad: " + std::string(line.fault.reason);
  }
  return {};
}

std::string parsed(std::string_view text) {
  CandumpLine line;
  const LineClass line_class = parse_candump(text, line);
  return describe(line_class, line);
}

CandumpLine parse_frame(std::string_view text) {
  CandumpLine line;
  CAPTURE(text);
  REQUIRE(parse_candump(text, line) == LineClass::kFrame);
  return line;
}

// "reason: offending text" of a bad line.
std::string refused(std::string_view text) {
  CandumpLine line;
  CAPTURE(text);
  REQUIRE(parse_candump(text, line) == LineClass::kBad);
  return std::string(line.fault.reason) + ": " + std::string(line.fault.text);
}

std::string print(std::int64_t time_ns, std::string_view interface, const Frame& frame) {
  std::string out;
  append_candump(out, time_ns, interface, frame);
  return out;
}

// What is printed for a frame is read back as the same frame. A view that does not show CAN FD flags gives a frame
// without them.
void check_round_trip(const CandumpLine& line) {
  std::string text = print(1'700'000'000'123'456'000, line.interface, line.frame);
  if (line.frame.kind == Kind::kXl) {
    CHECK(text.empty());
    return;
  }
  REQUIRE(text.ends_with('\n'));
  text.pop_back();
  const CandumpLine again = parse_frame(text);
  CHECK(describe(again.frame) == describe(line.frame));
  CHECK(again.interface == line.interface);
  CHECK(again.time_base == TimeBase::kAbsolute);
  CHECK(again.time_ns == 1'700'000'000'123'456'000);
}

std::int64_t local_ns(const Json& ts) {
  std::tm time{};
  REQUIRE(strptime(ts["text"].get<std::string>().c_str(), "%Y-%m-%d %H:%M:%S", &time) != nullptr);
  return timegm(&time) * std::int64_t{1'000'000'000} + ts["frac_ns"].get<std::int64_t>();
}

void check_time(const CandumpLine& line, const Json& ts) {
  if (ts.is_null()) {
    CHECK(line.time_base == TimeBase::kNone);
    CHECK(line.time_ns == 0);
  } else if (ts["k"] == "local") {
    CHECK(line.time_base == TimeBase::kLocal);
    CHECK(line.time_ns == local_ns(ts));
  } else {
    CHECK(line.time_base == (ts["k"] == "abs" ? TimeBase::kAbsolute : TimeBase::kRelative));
    CHECK(line.time_ns == ts["ns"].get<std::int64_t>());
  }
}

void check_frame(const CandumpLine& line, const Json& vector) {
  const Frame& frame = line.frame;
  CHECK(line.interface == vector["if"].get<std::string>());
  CHECK((line.direction == 0 ? Json() : Json(std::string(1, line.direction))) == vector["dir"]);
  check_time(line, vector["ts"]);
  CHECK(int{frame.length_bytes} == vector["len"].get<int>());
  CHECK(hex(frame) == vector["data"].get<std::string>());
  if (vector["r"] == "errframe") {
    CHECK(frame.kind == Kind::kError);
    CHECK(frame.id == vector["class"].get<std::uint32_t>());
    CHECK_FALSE(frame.extended);
    return;
  }
  const bool fd = vector["type"] == "fd";
  CHECK(frame.kind == (fd ? Kind::kFd : vector["rtr"].get<bool>() ? Kind::kRemote : Kind::kClassic));
  CHECK(frame.id == vector["id"].get<std::uint32_t>());
  CHECK(frame.extended == vector["ext"].get<bool>());
  CHECK(int{frame.dlc} == vector["dlc"].get<int>());
  CHECK(line.flags_shown == (fd && !vector["brs"].is_null()));
  CHECK(frame.bit_rate_switch == (line.flags_shown && vector["brs"].get<bool>()));
  CHECK(frame.error_state == (line.flags_shown && vector["esi"].get<bool>()));
}

TEST_CASE("every recorded line is what its vector says") {
  const std::vector<Json> vectors = read_vectors();
  REQUIRE(vectors.size() == 352);
  CandumpLine line;
  for (const Json& vector : vectors) {
    const auto text = vector["line"].get<std::string>();
    CAPTURE(text);
    const LineClass line_class = parse_candump(strip_bom(text), line);
    const auto expected = vector["r"].get<std::string>();
    if (expected == "bad") {
      CHECK(line_class == LineClass::kBad);
      CHECK_FALSE(line.fault.reason.empty());
    } else if (expected == "note") {
      CHECK(line_class == (text.starts_with("DROPCOUNT") ? LineClass::kDropCount : LineClass::kNote));
    } else {
      REQUIRE(line_class == LineClass::kFrame);
      if (expected == "xl") {
        CHECK(line.frame.kind == Kind::kXl);
      } else {
        check_frame(line, vector);
      }
      check_round_trip(line);
    }
  }
}

// A colour code at the end of a line means nothing and takes the line past the short way that plain log lines go, so
// both ways must agree.
TEST_CASE("plain log lines mean the same on both ways, whatever is changed in them") {
  std::size_t frames = 0;
  const auto compare = [&](const std::string& text) {
    const std::string direct = parsed(text);
    const std::string general = parsed(text + "\x1b[0m");
    if (direct != general) {
      CAPTURE(text);
      CHECK(direct == general);
    }
    if (!direct.starts_with("bad")) ++frames;
  };
  for (const std::string line :
       {"(1700000000.123456) can0 123#1122334455667788", "(1700000000.123456)  vcan1 7FF#",
        "(1700000000.123456) can0 14B0DC51#4A94E8 R", "(1700000000.123456) can0 123##51122334455",
        "(9223372035.999999) slcan0-long_if1 1FFFFFFF##7000102030405060708090A0B T"}) {
    compare(line);
    for (std::size_t at = 0; at < line.size(); ++at) {
      compare(line.substr(0, at));
      compare(line.substr(0, at) + line.substr(at + 1));
      for (int byte = 0; byte < 256; ++byte) {
        const auto c = static_cast<char>(byte);
        if (c == '\x1b') continue;
        std::string changed = line;
        changed[at] = c;
        if (!changed.ends_with('\r')) compare(changed);
        changed.insert(at, 1, line[at]);
        if (!changed.ends_with('\r')) compare(changed);
      }
    }
  }
  CHECK(frames > 1000);
}

TEST_CASE("every prefix of every recorded line is a frame within its limits, a note or bad") {
  for (const Json& vector : read_vectors()) {
    const auto text = vector["line"].get<std::string>();
    for (std::size_t length = 0; length < text.size(); ++length) {
      // A copy of its own, so that a sanitizer sees a read beyond the end.
      const std::vector<char> prefix(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length));
      CandumpLine line;
      if (parse_candump({prefix.data(), prefix.size()}, line) != LineClass::kFrame) continue;
      CAPTURE(text);
      CAPTURE(length);
      CHECK(line.interface.data() >= prefix.data());
      CHECK(line.interface.data() + line.interface.size() <= prefix.data() + prefix.size());
      check_round_trip(line);
    }
  }
}

TEST_CASE("time stamps are told apart by their digits") {
  const auto at = [](std::string_view time) {
    const CandumpLine line = parse_frame("(" + std::string(time) + ") can0 123#11");
    return std::pair(line.time_base, line.time_ns);
  };
  CHECK(at("1700000000.000001") == std::pair(TimeBase::kAbsolute, std::int64_t{1'700'000'000'000'001'000}));
  CHECK(at("0000000012.5") == std::pair(TimeBase::kAbsolute, std::int64_t{12'500'000'000}));
  CHECK(at("999999999.5") == std::pair(TimeBase::kRelative, std::int64_t{999'999'999'500'000'000}));
  CHECK(at("000.000000001") == std::pair(TimeBase::kRelative, std::int64_t{1}));
  CHECK(at("1.0000000019") == std::pair(TimeBase::kRelative, std::int64_t{1'000'000'001}));
  CHECK(at("9223372035.999999999") == std::pair(TimeBase::kAbsolute, std::int64_t{9'223'372'035'999'999'999}));
  CHECK(at("1970-01-02 00:00:01.25") == std::pair(TimeBase::kLocal, std::int64_t{86'401'250'000'000}));
  CHECK(at("1969-12-31 23:59:59.75") == std::pair(TimeBase::kLocal, std::int64_t{-250'000'000}));
  CHECK(at("2024-02-29T12:00:00") == std::pair(TimeBase::kLocal, std::int64_t{1'709'208'000'000'000'000}));
}

TEST_CASE("malformed time stamps are refused") {
  const auto with = [](std::string_view time) { return refused("(" + std::string(time) + ") can0 123#11"); };
  CHECK(with("9223372036.000000") == "time stamp above 9223372035 seconds: 9223372036");
  CHECK(with("99999999999999999999.0") == "time stamp above 9223372035 seconds: 99999999999999999999");
  CHECK(with("") == "time stamp must be decimal seconds or a calendar time: ");
  CHECK(with(".5") == "time stamp must be decimal seconds or a calendar time: ");
  CHECK(with("-1.0") == "time stamp must be decimal seconds or a calendar time: -1");
  CHECK(with("1.") == "fraction of the time stamp must be decimal digits: 1.");
  CHECK(with("1.5.5") == "fraction of the time stamp must be decimal digits: 1.5.5");
  CHECK(with("2023-02-29 12:00:00.0") == "no such date or time of day: 2023-02-29 12:00:00");
  CHECK(with("2023-02-28 24:00:00.0") == "no such date or time of day: 2023-02-28 24:00:00");
  CHECK(with("2023-02-28 12:60:00.0") == "no such date or time of day: 2023-02-28 12:60:00");
  CHECK(with("2023-02-28 12:00") == "calendar time must be YYYY-MM-DD HH:MM:SS: 2023-02-28 12:00");
  CHECK(with("2023-02-28_12:00:00") == "calendar time must be YYYY-MM-DD HH:MM:SS: 2023-02-28_12:00:00");
  CHECK(with("1677-12-31 12:00:00") == "year must be 1678 to 2261: 1677-12-31 12:00:00");
  CHECK(with("2262-01-01 12:00:00") == "year must be 1678 to 2261: 2262-01-01 12:00:00");
  CHECK(refused("(1.0 can0 123#11") == "time stamp without closing parenthesis: (1.0 can0 123#11");
  CHECK(refused("(1.0)can0 123#11") == "no space after the time stamp: can0 123#11");
}

TEST_CASE("malformed log frames are refused") {
  const auto with = [](std::string_view frame) { return refused("(1700000000.000000) can0 " + std::string(frame)); };
  CHECK(with("#11") == "identifier must have 3 or 8 hex digits: ");
  CHECK(with("1234#11") == "identifier must have 3 or 8 hex digits: 1234");
  CHECK(with("12X#11") == "identifier must be hex digits: 12X");
  CHECK(with("800#11") == "identifier of 3 digits above 7FF: 800");
  CHECK(with("40000000#11") == "identifier of 8 digits above 3FFFFFFF: 40000000");
  CHECK(with("80000123#11") == "identifier of 8 digits above 3FFFFFFF: 80000123");
  CHECK(with("123#112") == "data must be bytes of two hex digits: 112");
  CHECK(with("123#1G") == "data must be bytes of two hex digits: 1G");
  CHECK(with("123#11..22") == "data must be bytes of two hex digits: 11..22");
  CHECK(with("123#11.") == "data must be bytes of two hex digits: 11.");
  CHECK(with("123#112233445566778899") == "a classic frame holds at most 8 bytes: 112233445566778899");
  CHECK(with("123#1122334455667788_8") == "raw length code must be 9 to F: 8");
  CHECK(with("123#1122334455667788_") == "raw length code must be 9 to F: ");
  CHECK(with("123#1122334455667788_10") == "raw length code must be 9 to F: 10");
  CHECK(with("123#11223344556677_9") == "raw length code without 8 bytes: 9");
  CHECK(with("123#R9") == "length of a remote frame must be 0 to 8: 9");
  CHECK(with("123#R11") == "length of a remote frame must be one digit: 11");
  CHECK(with("123#R7_9") == "raw length code without 8 bytes: 9");
  CHECK(with("123##") == "flags of a CAN FD frame must be a hex digit: ");
  CHECK(with("123##G11") == "flags of a CAN FD frame must be a hex digit: G11");
  CHECK(with("123##0112") == "data must be bytes of two hex digits: 112");
  CHECK(with("123##0" + std::string(130, '0')) == "a CAN FD frame holds at most 64 bytes: " + std::string(130, '0'));
  CHECK(with("20000004#R8") == "an error message can be neither remote nor CAN FD: 8");
  CHECK(with("20000004##000") == "an error message can be neither remote nor CAN FD: 000");
  CHECK(with("123#11 22") == "text after the frame that is no direction R or T: 22");
  CHECK(with("45123#81:00:1234567#11") == "malformed CAN XL header: 81:00:1234567#11");
  CHECK(with("45123#81:00:12345678") == "a CAN XL frame holds 1 to 2048 bytes: ");
  CHECK(with("45800#81:00:12345678#11") == "identifier of 3 digits above 7FF: 800");
  CHECK(with("45123#81:00:12345678#112") == "data must be bytes of two hex digits: 112");
  CHECK(refused("(1700000000.000000) can0") == "interface or frame is missing: can0");
  CHECK(refused("(1700000000.000000)") == "interface or frame is missing: ");
  CHECK(refused("can0123456789abc 123#11") == "interface name above 15 bytes: can0123456789abc");
  CHECK(refused("can/0 123#11") == "interface name with a slash, colon or control character: can/0");
}

TEST_CASE("malformed screen frames are refused") {
  const auto with = [](std::string_view frame) { return refused("  can0  " + std::string(frame)); };
  CHECK(with("world") == "identifier must be hex digits: world");
  CHECK(with("1234   [1]  11") == "identifier must have 3 or 8 hex digits: 1234");
  CHECK(with("123   8  11") == "no length in brackets after the identifier: 8  11");
  CHECK(with("123   [1  11") == "length in brackets must be a number: [1");
  CHECK(with("123   [1}  11") == "length in brackets must be a number: [1}");
  CHECK(with("123   [A]  11") == "length in brackets must be a number: [A]");
  CHECK(with("123   [1]11") == "length in brackets must be a number: [1]11");
  CHECK(with("123   [001]  11") == "length in brackets must have 1, 2 or 4 digits: [001]");
  CHECK(with("123   []  11") == "length in brackets must have 1, 2 or 4 digits: []");
  CHECK(with("123   {10}  11") == "length in brackets must have 1, 2 or 4 digits: {10}");
  CHECK(with("123   [9]  11 22 33 44 55 66 77 88 99") == "a classic frame holds at most 8 bytes: [9]");
  CHECK(with("123  [65]  11") == "a CAN FD frame holds at most 64 bytes: [65]");
  CHECK(with("123   [2]  11") == "fewer data bytes than the length in brackets: ");
  CHECK(with("123   [2] ") == "fewer data bytes than the length in brackets: ");
  CHECK(with("123   [2]  11   '.'") == "fewer data bytes than the length in brackets: '.'");
  CHECK(with("123   {A}  11 22") == "fewer data bytes than the length in brackets: ");
  CHECK(with("123   [1]  11 22") == "more data bytes than the length in brackets: 22");
  CHECK(with("123   [0]  11") == "more data bytes than the length in brackets: 11");
  CHECK(with("123   [1]  11'.'") == "more data bytes than the length in brackets: '.'");
  CHECK(with("123   [1]  XX") == "data must be bytes of two hex digits: XX");
  CHECK(with("123   [1]  remote") == "data must be bytes of two hex digits: remote");
  CHECK(with("123   [1]  remote request 11") == "text after a remote frame: 11");
  CHECK(with("123  [01]  remote request") == "data must be bytes of two hex digits: remote request");
  CHECK(with("20000004   [8]  remote request") == "an error message can be neither remote nor CAN FD: remote request");
  CHECK(with("20000004  [08]  00 00 00 00 00 00 00 00") == "an error message can be neither remote nor CAN FD: [08]");
  CHECK(with("RX - 123   [1]  11") == "direction without its two marks: RX - 123   [1]  11");
  CHECK(with("RX X -  123   [1]  11") == "direction without its two marks: RX X -  123   [1]  11");
  CHECK(with("123 [0002] (45|81:00:1234567) 11 22") == "malformed CAN XL header: (45|81:00:1234567)");
  CHECK(with("123 [0002] (45|81:00:12345678) 11") == "fewer data bytes than the length in brackets: ");
  CHECK(with("123 [0002] (45|81:00:12345678) 11 22 33") == "more data bytes than the length in brackets: 33");
  CHECK(with("123 [2049] (45|81:00:12345678) 11") == "a CAN XL frame holds 1 to 2048 bytes: [2049]");
  CHECK(with("00000123 [0001] (45|81:00:12345678) 11") ==
        "priority of a CAN XL frame must have 3 hex digits: 00000123");
}

TEST_CASE("what swapped and binary views do not tell apart is refused with a hint") {
  const auto with = [](std::string_view data) {
    CandumpLine line;
    REQUIRE(parse_candump("  can0  123   [4]  " + std::string(data), line) == LineClass::kBad);
    return std::string(line.fault.reason) + "; " + std::string(line.fault.hint);
  };
  const std::string hint = "; take the log with candump -L, or without -S and -i";
  CHECK(with("11 22 33   '...'") == "fewer data bytes than the length in brackets; ");
  CHECK(with("11223344") == "binary data byte with other digits than 0 and 1" + hint);
  CHECK(with("11111111") == "fewer data bytes than the length in brackets; ");
  CHECK(with("1111") == "data bytes must have 2 hex or 8 binary digits" + hint);
  CHECK(with("11`22 33`44") == "data bytes separated in more than one way" + hint);
  CHECK(with("11 22`33 44") == "data bytes separated in more than one way" + hint);
  CHECK(with("00000001 02 03 04") == "binary data byte with other digits than 0 and 1" + hint);
}

TEST_CASE("an interface is found by its position, whatever it is called") {
  CHECK(parse_frame("  (if)  123   [1]  11").interface == "(if)");
  CHECK(parse_frame("  123  456   [1]  11").interface == "123");
  CHECK(parse_frame("   RX  RX - -  456   [1]  11").interface == "RX");
  CHECK(parse_frame("  can#0  456   [1]  11").interface == "can#0");
  CHECK(parse_frame("(1700000000.000000) 12# 123#11").interface == "12#");
  CHECK(parse_frame("   (1700000000.000000) can0 123#11").interface == "can0");
}

TEST_CASE("colour codes are ignored and views still point into the line") {
  const std::string text = " \x1b[1m\x1b[34m(1700000000.5)  can0\x1b[0m  123   [1]  11";
  const CandumpLine line = parse_frame(text);
  CHECK(line.interface == "can0");
  CHECK(line.interface.data() == text.data() + text.find("can0"));
  CHECK(refused("  \x1b[31mcan/0\x1b[0m  123   [1]  11") ==
        "interface name with a slash, colon or control character: can/0");
  CHECK(refused("  ca\x1b[0mn0  123   [1]  11") == "colour code inside the interface name: ca\x1b[0mn0");
  CHECK(refused("  can0\x1b[0  123   [1]  11") ==
        "interface name with a slash, colon or control character: can0\x1b[0");
}

TEST_CASE("text that is no frame is a note, and lost frames are counted") {
  for (const std::string_view note : {"", " ", "\r", "# text", "; text", "// text", "\tbus-error", "|\b/\b-\b\\\b",
                                      "Enabling Logfile 'candump-2018-12-06_093119.log'", "vcan0: interface down"}) {
    CAPTURE(note);
    CHECK(parsed(note) == "note");
  }
  CHECK(parsed("DROPCOUNT: dropped 1 CAN frame on 'can0' socket (total drops 7)") == "dropped 1");
  CHECK(parsed("DROPCOUNT: dropped 4294967295 CAN frames on 'can0' socket (total drops 7)\r") == "dropped 4294967295");
  CHECK(refused("DROPCOUNT: dropped -1 CAN frame on 'can0'") == "number of dropped frames must be decimal: -1");
  CHECK(refused("/ text") == "interface name with a slash, colon or control character: /");
}

TEST_CASE("a byte order mark is removed only where it is asked for") {
  CHECK(strip_bom("\xEF\xBB\xBF(1.0) can0 123#11") == "(1.0) can0 123#11");
  CHECK(strip_bom("\xEF\xBB") == "\xEF\xBB");
  CHECK(refused("\xEF\xBB\xBF(1.0) can0 123#11") == "identifier must be hex digits: can0");
}

TEST_CASE("a line has at most 8192 bytes") {
  const std::string frame = "(1700000000.000000) can0 123#11 R ";
  CHECK(parsed(frame + std::string(kMaxCandumpLineBytes - frame.size(), 'x')) == parsed(frame));
  const std::string above = frame + std::string(kMaxCandumpLineBytes + 1 - frame.size(), 'x');
  CHECK(refused(above) == "line above 8192 bytes: " + above);
  const std::string xl = "(1700000000.000000) can0 45123#81:00:12345678#" + std::string(2 * 2048, '0');
  CHECK(parse_frame(xl).frame.kind == Kind::kXl);
  CHECK(refused(xl + "00").starts_with("a CAN XL frame holds 1 to 2048 bytes: "));
}

TEST_CASE("frames print in log form") {
  Frame frame{};
  frame.id = 0x12;
  frame.length_bytes = frame.dlc = 8;
  for (std::size_t i = 0; i < frame.data.size(); ++i) frame.data[i] = static_cast<std::byte>(i * 0x1F);
  CHECK(print(0, "can0", frame) == "(0000000000.000000) can0 012#001F3E5D7C9BBAD9\n");
  frame.dlc = 15;
  CHECK(print(1'999'999'999, "vcan12", frame) == "(0000000001.999999) vcan12 012#001F3E5D7C9BBAD9_F\n");
  frame.kind = Kind::kRemote;
  frame.extended = true;
  CHECK(print(1'700'000'000'123'456'789, "can0", frame) == "(1700000000.123456) can0 00000012#R8_F\n");
  frame.length_bytes = frame.dlc = 0;
  CHECK(print(0, "can0", frame) == "(0000000000.000000) can0 00000012#R\n");
  frame.kind = Kind::kFd;
  frame.length_bytes = 2;
  frame.bit_rate_switch = true;
  CHECK(print(0, "can0", frame) == "(0000000000.000000) can0 00000012##1001F\n");
  frame.error_state = true;
  CHECK(print(0, "can0", frame) == "(0000000000.000000) can0 00000012##3001F\n");
  frame.kind = Kind::kError;
  frame.extended = false;
  CHECK(print(0, "can0", frame) == "(0000000000.000000) can0 20000012#001F\n");
  frame.kind = Kind::kXl;
  CHECK(print(0, "can0", frame).empty());
}

TEST_CASE("printing appends, also the longest line") {
  Frame frame{};
  frame.kind = Kind::kFd;
  frame.extended = true;
  frame.id = kMaxExtendedId;
  frame.length_bytes = kMaxFdBytes;
  std::string out = "before\n";
  append_candump(out, 9'999'999'999'999'999, std::string(kMaxInterfaceBytes, 'i'), frame);
  append_candump(out, 0, "can0", frame);
  CHECK(out == "before\n(0009999999.999999) iiiiiiiiiiiiiii 1FFFFFFF##0" + std::string(128, '0') +
                   "\n(0000000000.000000) can0 1FFFFFFF##0" + std::string(128, '0') + "\n");
}

}  // namespace
}  // namespace fieldpipe::can
