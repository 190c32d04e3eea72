// SPDX-License-Identifier: MIT
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>

#include "can/dbc.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

Database parse(std::string text) {
  auto database = parse_dbc(std::move(text));
  REQUIRE(database);
  return *std::move(database);
}

// "line: what" of all diagnostics, a line each.
std::string faults(const Database& database) {
  std::string out;
  for (const Diagnostic& diagnostic : database.diagnostics)
    out += std::to_string(diagnostic.line) + ": " + diagnostic.what + "\n";
  return out;
}

std::string faults(std::string text) { return faults(parse(std::move(text))); }

// "start|length@order type(factor,offset)", and of what else there is.
std::string describe(const Signal& signal) {
  std::string out(signal.name);
  out += " " + std::to_string(signal.start_bit) + "|" + std::to_string(signal.length_bits) +
         (signal.byte_order == ByteOrder::kIntel ? "@1" : "@0") + "+-f"[static_cast<int>(signal.type)] + "(" +
         std::string(signal.factor) + "," + std::string(signal.offset) + ")";
  if (signal.is_multiplexor) out += " M";
  if (signal.is_multiplexed) out += " m" + (signal.ranges.empty() ? "" : std::to_string(signal.multiplexor));
  for (const ValueRange& range : signal.ranges)
    out += " " + std::to_string(range.first) + "-" + std::to_string(range.last);
  return out;
}

// Every message and signal, for comparisons.
std::string describe(const Database& database) {
  std::string out;
  for (const Message& message : database.messages) {
    out += std::string(message.name) + " " + std::to_string(message.id) + (message.extended ? "x" : "") + "\n";
    for (const Signal& signal : message.signals) out += " " + describe(signal) + "\n";
  }
  return out;
}

std::string read_file(const std::string& name) {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/can/dbc/" + name, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

constexpr std::string_view kMessage = "BO_ 256 M: 8 X\n";

// The one signal of a message with this SG_ line.
std::string signal(std::string_view line) {
  const Database database = parse(std::string(kMessage) + std::string(line) + "\n");
  CHECK(faults(database) == "");
  REQUIRE(database.messages.size() == 1);
  REQUIRE(database.messages[0].signals.size() == 1);
  return describe(database.messages[0].signals[0]);
}

// What is wrong with an SG_ line in line 2; the signal must be lost, and the one behind it kept.
std::string lost(std::string_view line) {
  const Database database =
      parse(std::string(kMessage) + std::string(line) + "\n SG_ Next : 0|1@1+ (1,0) [0|0] \"\" X\n");
  REQUIRE(database.messages.size() == 1);
  CAPTURE(line);
  REQUIRE(database.messages[0].signals.size() == 1);
  CHECK(database.messages[0].signals[0].name == "Next");
  return faults(database);
}

TEST_CASE("a database of every statement that is read") {
  const Database database = parse(read_file("basic.dbc"));
  CHECK(faults(database) == "");
  REQUIRE(database.messages.size() == 12);
  const Message& intel = database.messages[0];
  CHECK(intel.name == "Intel");
  CHECK(intel.id == 256);
  CHECK_FALSE(intel.extended);
  CHECK(intel.length_bytes == 8);
  CHECK(intel.sender == "ECU");
  CHECK(intel.line == 17);
  REQUIRE(intel.signals.size() == 6);
  CHECK(describe(intel.signals[1]) == "I_s12 8|12@1-(0.5,-10)");
  CHECK(intel.signals[1].unit == "km/h");
  CHECK(intel.signals[1].line == 19);
  CHECK(intel.signals[5].receivers == "GW,ECU");
  CHECK(intel.signals[0].minimum == "0");
  CHECK(intel.signals[0].maximum == "255");
  const Message& mux = database.messages[6];
  CHECK(mux.signals[4].unit == "\u00b0C");  // was Windows-1252
  CHECK(mux.signals[4].comment == "temperature");
  CHECK(describe(database.messages[7].signals[2]) == "Leaf1 8|8@1+(1,0) m1 4-4 8-10");
  const Message& eec1 = database.messages[8];
  CHECK(eec1.id == 0x0CF004FE);
  CHECK(eec1.extended);
  CHECK(eec1.frame_format == "J1939PG");
  CHECK(database.messages[9].frame_format == "StandardCAN_FD");
  CHECK(database.messages[0].frame_format == "StandardCAN");
  CHECK(database.messages[0].signals[0].start_value == "0");
  CHECK_FALSE(database.messages[0].cycle_time_ms);
  const Signal& gear = database.messages[11].signals[0];
  CHECK(gear.name == "Gear");
  CHECK(find_choice(gear, 2) == "N");
  CHECK_FALSE(find_choice(gear, 4));
}

TEST_CASE("signals in every form that is written") {
  CHECK(signal(" SG_ S : 7|12@0- (0.5,-10) [0|250] \"km/h\" A,B") == "S 7|12@0-(0.5,-10)");
  CHECK(signal("\tSG_ S:7|12@0-(0.5,-10)[0|250]\"km/h\"") == "S 7|12@0-(0.5,-10)");
  CHECK(signal("SG_  S  :  7 | 12 @ 0 -  ( 0.5 , -10 )  [ 0 | 250 ]  \"km/h\"   A") == "S 7|12@0-(0.5,-10)");
  CHECK(signal(" SG_ S : 7|12@0- (.5,1E-006) [-1.7E+308|1.7E+308] \"\" X // a remark") == "S 7|12@0-(.5,1E-006)");
  CHECK(signal(" SG_ 2017_5 : 0|64@1+ (+1,0) [0|0] \"\" X\r") == "2017_5 0|64@1+(+1,0)");
  CHECK(signal(" SG_ S M : 0|8@1+ (1,0) [0|0] \"\" X") == "S 0|8@1+(1,0) M");
  CHECK(signal(" SG_ S : 16383|1@1+ (1,0) [0|0] \"\" X") == "S 16383|1@1+(1,0)");
}

TEST_CASE("signals that cannot be used, and why") {
  CHECK(lost(" SG_ x : 4294967295|64@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: start bit 4294967295, at most 16383\n");
  CHECK(lost(" SG_ x : 99999999999999999999|64@1+ (1,0) [0|0] \"\" X") ==
        "2: SG_ x: start bit must be a number, not '99999999999999999999'\n");
  CHECK(lost(" SG_ x : -1|8@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: start bit must be a number, not '-1'\n");
  CHECK(lost(" SG_ x : 0|0@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: length of 0 bits, must be 1 to 64\n");
  CHECK(lost(" SG_ x : 0|65@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: length of 65 bits, must be 1 to 64\n");
  CHECK(lost(" SG_ x : 16380|8@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: ends in byte 2049, at most 2048\n");
  CHECK(lost(" SG_ x : 0|8@2+ (1,0) [0|0] \"\" X") == "2: SG_ x: byte order must be 0 or 1, not '2+'\n");
  CHECK(lost(" SG_ x : 0|8@1 (1,0) [0|0] \"\" X") == "2: SG_ x: sign must be + or -, not '('\n");
  CHECK(lost(" SG_ x : 0|8") == "2: SG_ x: @ must be here, not the end\n");
  CHECK(lost(" SG_ x 0|8@1+ (1,0) [0|0] \"\" X") == "2: SG_ x: M, a number behind m, or : must be here, not '0'\n");
  CHECK(lost(" SG_ x m-1 : 0|8@1+ (1,0) [0|0] \"\" X") ==
        "2: SG_ x: M, a number behind m, or : must be here, not 'm-1'\n");
  CHECK(lost(" SG_ x mM1 : 0|8@1+ (1,0) [0|0] \"\" X") ==
        "2: SG_ x: M, a number behind m, or : must be here, not 'mM1'\n");
  CHECK(lost(" SG_ : 0|8@1+ (1,0) [0|0] \"\" X") == "2: SG_: signal without a name\n");
  CHECK(lost(" SG_ " + std::string(1025, 'x') + " : 0|8@1+ (1,0) [0|0] \"\" X") ==
        "2: SG_: name of 1025 bytes, at most 1024\n");
}

TEST_CASE("signals whose bits are known are used, whatever is wrong behind them") {
  const auto kept = [](std::string_view line, std::string_view expected) {
    const Database database = parse(std::string(kMessage) + std::string(line) + "\n");
    REQUIRE(database.messages[0].signals.size() == 1);
    CHECK(describe(database.messages[0].signals[0]) == expected);
    return faults(database);
  };
  CHECK(kept(" SG_ x : 0|8@1+", "x 0|8@1+(1,0)") == "2: SG_ x: ( must be here, not the end\n");
  CHECK(kept(" SG_ x : 0|8@1+ (1e999,0) [0|0] \"\" X", "x 0|8@1+(1,0)") ==
        "2: SG_ x: factor or offset '1e999' is no number in range\n");
  CHECK(kept(" SG_ x : 0|8@1+ (2,nan) [0|0] \"\" X", "x 0|8@1+(1,0)") ==
        "2: SG_ x: factor or offset 'nan' is no number in range\n");
  CHECK(kept(" SG_ x : 0|8@1+ (2,1) [0|0 \"\" X", "x 0|8@1+(2,1)") == "2: SG_ x: ] must be here, not '\"'\n");
  CHECK(kept(" SG_ x : 0|8@1+ (2,1) [0|0] \"km/h X", "x 0|8@1+(2,1)") == "2: SG_ x: quote that is never closed\n");
  CHECK(kept(" SG_ x : 0|8@1+ (2,1) [0|0] X", "x 0|8@1+(2,1)") == "2: SG_ x: a text in quotes must be here, not 'X'\n");
}

TEST_CASE("messages in every form, and those that cannot be used") {
  CHECK(describe(parse("BO_ 2147483904 A : 8 X\nBO_ 256 B:0\nBO_ 257 C: 2048 Y SG_ s : 0|8@1+ (1,0) [0|0] \"\" X\n")) ==
        "A 256x\nB 256\nC 257\n s 0|8@1+(1,0)\n");
  CHECK(faults("BO_ x A: 8 X\n SG_ s : 0|8@1+ (1,0) [0|0] \"\" X\n") ==
        "1: BO_: identifier must be a number, not 'x'\n");
  CHECK(faults("BO_ 4294967296 A: 8 X\n") == "1: BO_: identifier 4294967296 is above 4294967295\n");
  CHECK(faults("BO_ 256 : 8 X\n") == "1: BO_ 256: message without a name\n");
  CHECK(faults("BO_ 256 A 8 X\n") == "1: BO_ 256 A: no : behind the name\n");
  CHECK(faults("BO_ 256 A: many X\n") == "1: BO_ 256 A: length must be a number of bytes, not 'many'\n");
  CHECK(faults("BO_ 256 A: 2049 X\n") == "1: BO_ 256 A: length of 2049 bytes, at most 2048\n");
  CHECK(faults(" SG_ s : 0|8@1+ (1,0) [0|0] \"\" X\n") == "1: SG_ s: signal in front of all messages\n");
}

TEST_CASE("identifiers without bit 31 above 7FF are taken for 29 bits, and reported once") {
  const Database database = parse("BO_ 2048 A: 8 X\nBO_ 4096 B: 8 X\nBO_ 2047 C: 8 X\nVAL_ 2048 s 1 \"a\" ;\n");
  CHECK(describe(database) == "A 2048x\nB 4096x\nC 2047\n");
  CHECK(faults(database) ==
        "1: BO_ 2048 A: identifier above 2047 without bit 31, taken for one of 29 bits, as are all others like it\n");
  const Database odd = parse("BO_ 3758096385 A: 8 X\n");
  CHECK_FALSE(odd.messages[0].matchable);
  CHECK(faults(odd) == "1: BO_ 3758096385 A: identifier with bit 29 or 30, which no frame has\n");
}

TEST_CASE("of what is defined twice the first one stays") {
  const Database database = parse(
      "BO_ 256 A: 8 X\n SG_ s : 0|8@1+ (1,0) [0|0] \"\" X\n SG_ s : 8|8@1+ (1,0) [0|0] \"\" X\n"
      "BO_ 256 B: 8 X\n SG_ t : 0|8@1+ (1,0) [0|0] \"\" X\n"
      "VAL_ 256 s 0 \"a\" 0 \"b\" 1 \"c\" ;\nVAL_ 256 s 5 \"d\" ;\n");
  CHECK(describe(database) == "A 256\n s 0|8@1+(1,0)\n");
  CHECK(faults(database) ==
        "3: SG_ s: defined again in A, the signal of line 2 stays\n"
        "4: BO_ 256 B: identifier defined again, the message of line 1 stays\n"
        "7: VAL_ 256 s: texts of its values again, the first ones stay\n");
  const Signal& signal = database.messages[0].signals[0];
  CHECK(find_choice(signal, 0) == "a");
  CHECK(find_choice(signal, 1) == "c");
  CHECK_FALSE(find_choice(signal, 5));
}

constexpr std::string_view kSignal = "BO_ 256 M: 8 X\n SG_ s : 0|32@1- (1,0) [0|0] \"\" X\n";

std::string with_signal(std::string_view rest) { return std::string(kSignal) + std::string(rest); }

TEST_CASE("texts of values: negative, unsigned, in any order, over lines") {
  const Database database = parse(with_signal(
      "VAL_ 256 s 3 \"three \\\"x\\\"\" -1 \"minus\"\n 18446744073709551615\"again\" 1E+001 \"ten\" 2.0 \"two\";\n"));
  CHECK(faults(database) == "");
  const Signal& signal = database.messages[0].signals[0];
  CHECK(find_choice(signal, 3) == "three \"x\"");
  CHECK(find_choice(signal, static_cast<std::uint64_t>(-1)) == "minus");
  CHECK(find_choice(signal, 10) == "ten");
  CHECK(find_choice(signal, 2) == "two");
  CHECK(signal.choices.size() == 4);
}

TEST_CASE("what is wrong with texts of values, and what is kept") {
  const auto check = [](std::string_view statement, std::string_view expected, std::size_t kept) {
    const Database database = parse(with_signal(statement));
    CHECK(faults(database) == expected);
    CHECK(database.messages[0].signals[0].choices.size() == kept);
  };
  check("VAL_ 256 s 0 \"a\" 1 \"b\"\nCM_ \"x\";\n", "3: VAL_ 256 s: no ; at the end\n", 2);
  check("VAL_ 256 s 0 \"a\" 1 \"b\"", "3: VAL_ 256 s: no ; at the end\n", 2);
  check("VAL_ 256 s 0 \"a\" 1 ;\n", "3: VAL_ 256 s: no text for 1\n", 1);
  check("VAL_ 256 s 0 \"a\" x \"b\";\n", "3: VAL_ 256 s: value of a text must be an integer of 64 bits, not 'x'\n", 1);
  check("VAL_ 256 s 0 \"a\" 1.5 \"b\";\n", "3: VAL_ 256 s: value of a text must be an integer of 64 bits, not '1.5'\n",
        1);
  check("VAL_ 256 s 0 \"a\" 18446744073709551616 \"b\";\n",
        "3: VAL_ 256 s: value of a text must be an integer of 64 bits, not '18446744073709551616'\n", 1);
  check("VAL_ 256 s 0 \"a ;\n", "3: VAL_ 256 s: quote that is never closed\n", 0);
  check("VAL_ 4294967296 s 0 \"a\";\n", "3: VAL_: identifier must be a number up to 4294967295, not '4294967296'\n", 0);
  // Variables, and what is nowhere defined.
  check("VAL_ EnvVar 0 \"a\" ;\nVAL_ 257 s 0 \"a\";\nVAL_ 256 t 0 \"a\";\n", "", 0);
}

TEST_CASE("comments, attributes and long names") {
  const Database database = parse(with_signal(
      "CM_ \"of the; file\";\nCM_ BU_ X \"of a node\";\nCM_ BO_ 256 \"of a\nmessage\";\nCM_ SG_ 256 s \"says "
      "\\\"s\\\"\";\n"
      "BA_DEF_ BO_ \"VFrameFormat\" ENUM \"StandardCAN\",\"ExtendedCAN\";\nBA_DEF_DEF_ \"VFrameFormat\" "
      "\"ExtendedCAN\";\n"
      "BA_DEF_DEF_ \"GenMsgCycleTime\" 1e+02;\nBA_DEF_DEF_ \"GenSigStartValue\" 7;\nBA_DEF_DEF_ \"Other\" \"x\";\n"
      "BA_ \"SystemSignalLongSymbol\" SG_ 256 s \"a_very_long_name\";\nBA_ \"SystemMessageLongSymbol\" BO_ 256 "
      "\"Longer\";\n"
      "BA_ \"SPN\" SG_ 256 s 190;\nBA_ \"BusType\" \"CAN\";\nVAL_ 256 s 1 \"one\";\n"));
  CHECK(faults(database) == "");
  const Message& message = database.messages[0];
  CHECK(message.name == "Longer");
  CHECK(message.comment == "of a\nmessage");
  CHECK(message.frame_format == "ExtendedCAN");
  CHECK(message.cycle_time_ms == 100);
  const Signal& signal = message.signals[0];
  CHECK(signal.name == "a_very_long_name");
  CHECK(signal.comment == "says \"s\"");
  CHECK(signal.start_value == "7");
  CHECK(signal.spn == 190);
  CHECK(find_choice(signal, 1) == "one");
}

TEST_CASE("attributes win over their defaults, in any order") {
  const Database database = parse(
      "BA_ \"GenMsgCycleTime\" BO_ 256 0;\nBA_ \"VFrameFormat\" BO_ 256 1;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 100;\n" +
      with_signal("BA_DEF_ BO_ \"VFrameFormat\" ENUM \"A\",\"B\";\n"));
  CHECK(faults(database) == "");
  CHECK(database.messages[0].cycle_time_ms == 0);
  CHECK(database.messages[0].frame_format == "B");
}

TEST_CASE("broken attributes, comments and types") {
  CHECK(faults(with_signal("BA_ \"GenMsgCycleTime\" BO_ 256 -1;\n")) ==
        "3: BA_ 256: cycle time must be a number from 0 to 4294967295, not '-1'\n");
  CHECK(faults(with_signal("BA_ \"SPN\" SG_ 256 s x;\n")) ==
        "3: BA_ 256 s: SPN must be a number from 0 to 4294967295, not 'x'\n");
  CHECK(faults(with_signal("BA_ GenMsgCycleTime BO_ 256 1;\n")) ==
        "3: BA_: a text in quotes must be here, not 'GenMsgCycleTime'\n");
  CHECK(faults(with_signal("CM_ SG_ 256 \"x\";\n")) == "3: CM_ 256: name of a signal must be here, not '\"'\n");
  CHECK(faults(with_signal("CM_ 256 \"x\";\n")) == "3: CM_: BO_, SG_, BU_, EV_ or a text must be here, not '256'\n");
  CHECK(faults(with_signal("CM_ SG_ 256 s \"x\" y;\n")) == "3: CM_ 256 s: ; must be here, not 'y'\n");
  CHECK(faults(with_signal("SIG_VALTYPE_ 256 s : 7;\n")) == "3: SIG_VALTYPE_ 256 s: type must be 0 to 3, not '7'\n");
  CHECK(faults("BO_ 256 M: 8 X\n SG_ s : 0|12@1- (1,0) [0|0] \"\" X\nSIG_VALTYPE_ 256 s : 1;\n") ==
        "3: SIG_VALTYPE_ 256 s: a float has 16, 32 or 64 bits, not 12; read as an integer\n");
  CHECK(faults("Hello world\n") == "1: no statement begins with 'Hello'\n");
}

TEST_CASE("floats are told by their type and their length") {
  CHECK(describe(parse(with_signal("SIG_VALTYPE_ 256 s : 1;\n")).messages[0].signals[0]) == "s 0|32@1f(1,0)");
  CHECK(describe(parse(with_signal("SIG_VALTYPE_ 256 s 1;\n")).messages[0].signals[0]) == "s 0|32@1f(1,0)");
  CHECK(describe(parse(with_signal("SIG_VALTYPE_ 256 s : 0;\n")).messages[0].signals[0]) == "s 0|32@1-(1,0)");
}

// A message of signals with these names and marks.
std::string multiplexed(std::initializer_list<std::string_view> marks, std::string_view rest = "") {
  std::string text = "BO_ 256 M: 8 X\n";
  for (const std::string_view mark : marks) text += " SG_ " + std::string(mark) + " : 0|8@1+ (1,0) [0|0] \"\" X\n";
  return text + std::string(rest);
}

std::string marks_of(const Database& database) {
  std::string out;
  for (const Signal& signal : database.messages[0].signals)
    out += describe(signal).replace(describe(signal).find(" 0|8@1+(1,0)"), 12, "") + ";";
  return out;
}

TEST_CASE("multiplexing by marks") {
  CHECK(marks_of(parse(multiplexed({"A m1", "S M", "B m255", "C"}))) == "A m1 1-1;S M;B m1 255-255;C;");
  // m in place of M.
  CHECK(marks_of(parse(multiplexed({"S m", "A m0"}))) == "S M;A m0 0-0;");
  const Database none = parse(multiplexed({"A m1", "B"}));
  CHECK(marks_of(none) == "A m;B;");
  CHECK(faults(none) == "2: SG_ A: multiplexed, and M has no multiplexor\n");
  const Database two = parse(multiplexed({"S M", "T M", "A m1", "B m2"}));
  CHECK(marks_of(two) == "S M;T M;A m0 1-1;B m0 2-2;");
  CHECK(faults(two) == "4: SG_ A: M has several multiplexors, S is taken\n");
  const Database bare = parse(multiplexed({"S M", "A m"}));
  CHECK(marks_of(bare) == "S M;A m;");
  CHECK(faults(bare) == "3: SG_ A: m without a number, so it is never present\n");
}

TEST_CASE("multiplexing by SG_MUL_VAL_") {
  CHECK(marks_of(parse(multiplexed({"S M", "A m0M", "B m0"},
                                   "SG_MUL_VAL_ 256 A S 1-2, 4-4;\nSG_MUL_VAL_ 256 B A 5-7,6-9 , 0 - 0;\n"))) ==
        "S M;A M m0 1-2 4-4;B m1 0-0 5-9;");
  // Over two statements, and of signals without marks.
  CHECK(marks_of(parse(multiplexed({"S", "A"}, "SG_MUL_VAL_ 256 A S 1-1;\nSG_MUL_VAL_ 256 A S 3-3;\n"))) ==
        "S M;A m0 1-1 3-3;");
  const auto check = [](std::string_view statement, std::string_view expected) {
    CHECK(faults(multiplexed({"S M", "A m0"}, statement)) == expected);
  };
  check("SG_MUL_VAL_ 256 A T 1-1;\n", "4: SG_MUL_VAL_ A: its multiplexor T is no signal of M\n");
  check("SG_MUL_VAL_ 256 A S 1;\n", "4: SG_MUL_VAL_ 256 A: values of the multiplexor must be two numbers, as in 4-7\n");
  check("SG_MUL_VAL_ 256 A S 5-4;\n", "4: SG_MUL_VAL_ 256 A: values 5-4 of the multiplexor are upside down\n");
  check("SG_MUL_VAL_ 256 A S 1-1\nCM_ \"x\";\n", "4: SG_MUL_VAL_ 256 A: no ; at the end\n");
  check("SG_MUL_VAL_ 256 A S 1-1;\nSG_MUL_VAL_ 256 A B 1-1;\n",
        "5: SG_MUL_VAL_ 256 A: a second multiplexor B, the first one stays\n");
}

TEST_CASE("cyclic multiplexors are reported and never present") {
  const Database pair =
      parse(multiplexed({"S M", "A m0M", "B m0M"}, "SG_MUL_VAL_ 256 A B 0-0;\nSG_MUL_VAL_ 256 B A 0-0;\n"));
  CHECK(faults(pair) == "3: SG_ A: multiplexed by itself\n");
  CHECK(marks_of(pair) == "S M;A M m;B M m1 0-0;");
  CHECK(faults(multiplexed({"S M", "A m0M"}, "SG_MUL_VAL_ 256 A A 0-0;\n")) == "3: SG_ A: multiplexed by itself\n");
}

TEST_CASE("a quote or a semicolon that is missing costs its statement and no other") {
  const std::string head =
      "VERSION \"x\n\nNS_ :\n\tCM_\n\tBA_\n\nBS_: 500000 : 0,0\nBU_: A\n B C\n" + std::string(kSignal);
  const Database version = parse(head);
  CHECK(describe(version) == "M 256\n s 0|32@1-(1,0)\n");
  CHECK(faults(version) == "1: VERSION: quote that is never closed\n");

  const std::string tail = "BO_ 257 N: 8 X\n SG_ t : 0|8@1+ (1,0) [0|0] \"\" X\nVAL_ 257 t 1 \"one\" ;\n";
  const std::string all = "M 256\n s 0|32@1-(1,0)\nN 257\n t 0|8@1+(1,0)\n";
  for (const std::string_view broken :
       {"CM_ \"auto\"\n", "CM_ \"never ; closed\n", "CM_ BO_ 256 \"x\n", "BA_DEF_ \"x\n", "EV_ no end\n",
        "BA_ \"y\" z\n", "VAL_ 256 s 1 \"x\n", "SG_MUL_VAL_ 256\n", "FILTER \"\n", "~~~\n"}) {
    CAPTURE(broken);
    const Database database = parse(with_signal(std::string(broken) + tail));
    CHECK(describe(database) == all);
    CHECK(database.diagnostic_count == 1);
    CHECK(find_choice(database.messages[1].signals[0], 1) == "one");
  }
}

TEST_CASE("NUL bytes are spaces, in front of the reports of all else") {
  using namespace std::string_literals;
  const Database database = parse(
      "BO_\0"
      "256 M: 8 X\n SG_ s :\0 0|8@1+ (1,0) [0|0] \"\0\" X\n\0"s);
  CHECK(describe(database) == "M 256\n s 0|8@1+(1,0)\n");
  CHECK(faults(database) == "1: NUL byte, taken for a space\n");
}

TEST_CASE("text is UTF-8 or Windows-1252, told by what is valid") {
  const auto unit = [](std::string_view bytes) {
    const Database database = parse("BO_ 256 M: 8 X\n SG_ s : 0|8@1+ (1,0) [0|0] \"" + std::string(bytes) + "\" X\n");
    CHECK(faults(database) == "");
    return std::string(database.messages[0].signals[0].unit);
  };
  CHECK(unit("\xC2\xB0"
             "C") ==
        "\xC2\xB0"
        "C");
  CHECK(unit("\xB0"
             "C") ==
        "\xC2\xB0"
        "C");
  CHECK(unit("\x80") == "\xE2\x82\xAC");
  CHECK(unit("\x81\xFF") == "\xC2\x81\xC3\xBF");
  CHECK(describe(parse("\xEF\xBB\xBF"
                       "BO_ 256 M: 8 X\n")) == "M 256\n");
}

TEST_CASE("limits") {
  auto large = parse_dbc(std::string(kMaxDbcBytes + 1, ' '));
  REQUIRE_FALSE(large);
  CHECK(large.error().code == ErrorCode::kBadData);
  CHECK(large.error().what == "database of 67108865B, at most 64MiB");
  std::string many(kMessage);
  for (int i = 0; i < 250; ++i) many += " SG_\n";
  const Database database = parse(many);
  CHECK(database.diagnostics.size() == kMaxDiagnostics);
  CHECK(database.diagnostic_count == 250);
  std::string signals(kMessage);
  for (std::size_t i = 0; i <= kMaxSignalsPerMessage; ++i)
    signals += " SG_ s" + std::to_string(i) + " : 0|1@1+ (1,0) [0|0] \"\" X\n";
  CHECK(faults(signals) == "16386: SG_ s16384: more than 16384 signals in a message\n");
}

// Each was slow with some way of finding the next statement.
TEST_CASE("large hostile files take no more time than their size asks for") {
  const auto repeated = [](std::string_view part, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  const auto start = std::chrono::steady_clock::now();
  for (const std::string_view part :
       {"EV_ \\\"\n", "CM_ \"\n", "VAL_ 1 x 1 \"\n", "CM_ BO_ 1 \"\n", "BO_ 1 A: 8 X\n", "CM_ \"\\\"\n", "NS_ :\n",
        " x", "(", "\"", "\n", "SG_MUL_VAL_ 1 a b 1-1,", "BA_ \"SPN\" SG_ 1 x 1;\n"}) {
    CAPTURE(part);
    CHECK(parse_dbc(repeated(part, 2'000'000)));
  }
  const std::string behind = "\nBO_ 1 M: 8 X\n SG_ x : 0|8@1+ (1,0) [0|0] \"\" X\n";
  for (const std::string_view part :
       {"VAL_ 1 x 1 y;", "VAL_ 1 x //;", "VAL_ 1 x 1 \"", "VAL_ 1 x 1 \"\"", "SG_MUL_VAL_ 1 x x 1;"}) {
    CAPTURE(part);
    CHECK(parse_dbc(repeated(part, 2'000'000) + behind));
  }
  CHECK(parse_dbc("junk" + std::string(20'000'000, '\n') + behind));
  CHECK(parse_dbc("CM_ x" + std::string(20'000'000, '\n')));
  CHECK(parse_dbc("CM_ \"" + std::string(60'000'000, 'x')));
  CHECK(parse_dbc("BO_ 1 " + std::string(60'000'000, 'x')));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}

TEST_CASE("a database cut at every byte is read as far as it goes") {
  const std::string text = read_file("basic.dbc");
  const Database whole = parse(text);
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const Database database = parse(text.substr(0, size));
    // The last name may be cut as well.
    for (std::size_t i = 0; i + 1 < database.messages.size(); ++i)
      REQUIRE(database.messages[i].name == whole.messages[i].name);
    for (const Diagnostic& diagnostic : database.diagnostics)
      CHECK(printable(diagnostic.what, 1000) == diagnostic.what);
    if (size == text.size()) CHECK(describe(database) == describe(whole));
  }
}

}  // namespace
}  // namespace fieldpipe::can
