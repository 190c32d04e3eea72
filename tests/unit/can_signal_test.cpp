// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "can/candump.h"
#include "can/j1939.h"
#include "can/signal.h"

namespace fieldpipe::can {
namespace {

using Json = nlohmann::json;

Database parse(std::string text) {
  auto database = parse_dbc(std::move(text));
  REQUIRE(database);
  return *std::move(database);
}

Frame frame_of(std::string_view log_frame) {
  CandumpLine line;
  REQUIRE(parse_candump("(1700000000.000000) can0 " + std::string(log_frame), line) == LineClass::kFrame);
  return line.frame;
}

// A database with its plans in one table.
struct Decoder {
  explicit Decoder(std::string text) : database(parse(std::move(text))), plans(make_plans(database)) {
    for (const MessagePlan& plan : plans) CHECK(table.add(plan) == nullptr);
  }

  // The members of a frame, and what is left out as `(beyond frame, unknown multiplexer, not finite)`.
  std::string decode(std::string_view log_frame) {
    const Frame frame = frame_of(log_frame);
    const MessagePlan* const plan = table.find(frame);
    if (plan == nullptr) return "unknown";
    plan->decode(frame, decoding);
    std::string out;
    append_members(out, decoding);
    if (decoding.is_complete()) return out;
    return out + " (" + std::to_string(decoding.beyond_frame) + "," + std::to_string(decoding.unknown_multiplexer) +
           "," + std::to_string(decoding.not_finite) + ")";
  }

  Database database;
  std::vector<MessagePlan> plans;
  MessageTable table;
  Decoding decoding;
};

// One message 0x100 of 64 bytes with these SG_ lines.
Decoder signals(std::string_view lines, std::string_view rest = "") {
  return Decoder("BO_ 256 M: 64 X\n" + std::string(lines) + "\n" + std::string(rest));
}

std::string physical(const SignalPlan& plan, std::uint64_t raw) {
  std::string out;
  append_physical(out, plan, raw);
  return out;
}

double raw_float(const Signal& signal, std::uint64_t raw) {
  return signal.length_bits == 32 ? double{std::bit_cast<float>(static_cast<std::uint32_t>(raw))}
                                  : std::bit_cast<double>(raw);
}

void check_value(const SignalValue& value, const Json& expected) {
  const Signal& signal = value.plan->signal();
  CAPTURE(signal.name);
  CHECK(signal.name == expected["name"].get<std::string>());
  CHECK(signal.unit == expected.value("unit", ""));
  const std::string text = physical(*value.plan, value.raw);
  if (signal.type == ValueType::kFloat) {
    CHECK(raw_float(signal, value.raw) == expected["raw"].get<double>());
    CHECK(std::stod(text) == expected["value"].get<double>());
  } else {
    CHECK(value.raw == expected["raw"].get<std::uint64_t>());
    CHECK(text == expected["text"].get<std::string>());
  }
  CHECK(find_choice(signal, value.raw).value_or("") == expected.value("label", ""));
}

TEST_CASE("vectors: names, raw values, exact text and value tables") {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/can/dbc/basic.dbc", std::ios::binary);
  Decoder decoder(std::string(std::istreambuf_iterator<char>(file), {}));
  CHECK(decoder.database.diagnostic_count == 0);
  std::ifstream cases(FIELDPIPE_VECTORS_DIR "/can/dbc/basic.jsonl");
  int count = 0;
  for (std::string line; std::getline(cases, line); ++count) {
    const Json expected = Json::parse(line);
    CAPTURE(line);
    CandumpLine parsed;
    REQUIRE(parse_candump(expected["line"].get<std::string>(), parsed) == LineClass::kFrame);
    const Frame& frame = parsed.frame;
    const MessagePlan* const plan =
        expected.value("j1939", false) ? decoder.table.find_j1939(frame) : decoder.table.find(frame);
    if (expected["msg"].is_null()) {
      CHECK(plan == nullptr);
      continue;
    }
    REQUIRE(plan != nullptr);
    CHECK(plan->message().name == expected["msg"].get<std::string>());
    plan->decode(frame, decoder.decoding);
    REQUIRE(decoder.decoding.values.size() == expected["signals"].size());
    for (std::size_t i = 0; i < decoder.decoding.values.size(); ++i)
      check_value(decoder.decoding.values[i], expected["signals"][i]);
  }
  CHECK(count == 42);
}

TEST_CASE("Motorola signals over bytes") {
  // 12 bits from the top of byte 1: 0xABC is A and B there, C in the upper half of byte 2.
  CHECK(signals(" SG_ S : 15|12@0+ (1,0) [0|0] \"\" X").decode("100#00ABC00000") == R"("S":2748)");
  // From bit 2 of byte 0: its lowest three bits, then the whole of byte 1, then the top bit of byte 2.
  CHECK(signals(" SG_ S : 2|12@0+ (1,0) [0|0] \"\" X").decode("100#05FF80") == R"("S":3071)");
  CHECK(signals(" SG_ S : 2|12@0- (1,0) [0|0] \"\" X").decode("100#05FF80") == R"("S":-1025)");
  // The same bits as one Intel signal would have them.
  CHECK(signals(" SG_ S : 0|11@1+ (1,0) [0|0] \"\" X").decode("100#FF05") == R"("S":1535)");
}

TEST_CASE("signals over nine bytes") {
  // 64 bits from bit 4: nibbles 1 to 16 of the data, the lowest first.
  CHECK(signals(" SG_ S : 4|64@1+ (1,0) [0|0] \"\" X").decode("100##0F0FFFFFFFFFFFFFF0F000000") ==
        R"("S":18446744073709551615)");
  CHECK(signals(" SG_ S : 4|64@1+ (1,0) [0|0] \"\" X").decode("100##010000000000000000800000000") ==
        R"("S":9223372036854775809)");
  CHECK(signals(" SG_ S : 3|64@0+ (1,0) [0|0] \"\" X").decode("100##008000000000000001000000000") ==
        R"("S":9223372036854775809)");
  // At the very end of 64 bytes.
  const std::string zeros(110, '0');
  CHECK(signals(" SG_ S : 444|64@1+ (1,0) [0|0] \"\" X").decode("100##0" + zeros + "10000000000000000F") ==
        R"("S":17293822569102704641)");
  CHECK(signals(" SG_ S : 448|64@1- (1,0) [0|0] \"\" X").decode("100##0" + zeros + "00FEFFFFFFFFFFFFFF") ==
        R"("S":-2)");
  CHECK(signals(" SG_ S : 504|8@1+ (1,0) [0|0] \"\" X").decode("100##0" + zeros + "0000000000000000FE") ==
        R"("S":254)");
  CHECK(signals(" SG_ S : 511|1@0+ (1,0) [0|0] \"\" X").decode("100##0" + zeros + "000000000000000080") == R"("S":1)");
}

TEST_CASE("64-bit integers keep all digits") {
  CHECK(signals(" SG_ S : 0|64@1+ (1,0) [0|0] \"\" X").decode("100#FFFFFFFFFFFFFFFF") == R"("S":18446744073709551615)");
  CHECK(signals(" SG_ S : 0|64@1- (1,0) [0|0] \"\" X").decode("100#0000000000000080") == R"("S":-9223372036854775808)");
  CHECK(signals(" SG_ S : 0|64@1+ (0.1,-5) [0|0] \"\" X").decode("100#FFFFFFFFFFFFFFFF") ==
        R"("S":1844674407370955156.5)");
}

TEST_CASE("floats of 16, 32 and 64 bits") {
  auto half = signals(" SG_ S : 0|16@1- (1,0) [0|0] \"\" X", "SIG_VALTYPE_ 256 S : 1;");
  CHECK(half.decode("100#003C") == R"("S":1)");
  CHECK(half.decode("100#00C0") == R"("S":-2)");
  CHECK(half.decode("100#0100") == R"("S":5.960464477539063e-08)");
  CHECK(half.decode("100#FF7B") == R"("S":65504)");
  CHECK(half.decode("100#007C") == " (0,0,1)");
  CHECK(half.decode("100#017E") == " (0,0,1)");
  auto single = signals(" SG_ S : 7|32@0- (2,1) [0|0] \"\" X", "SIG_VALTYPE_ 256 S 1;");
  CHECK(single.decode("100#3FC00000") == R"("S":4)");
  CHECK(single.decode("100#FF800000") == " (0,0,1)");
  auto twice = signals(" SG_ S : 0|64@1- (1,0) [0|0] \"\" X", "SIG_VALTYPE_ 256 S : 2;");
  CHECK(twice.decode("100#000000000000F8BF") == R"("S":-1.5)");
  CHECK(twice.decode("100#0000000000000080") == R"("S":-0)");
  CHECK(twice.decode("100#000000000000F07F") == " (0,0,1)");
  // The number leaves the range of doubles only with its factor.
  auto scaled = signals(" SG_ S : 0|64@1- (10,0) [0|0] \"\" X", "SIG_VALTYPE_ 256 S : 2;");
  CHECK(scaled.decode("100#FFFFFFFFFFFFEF7F") == " (0,0,1)");
  CHECK(signals(" SG_ S : 0|8@1+ (1e308,0) [0|0] \"\" X").decode("100#02") == " (0,0,1)");
}

constexpr std::string_view kNested =
    " SG_ Leaf1 m4 : 8|8@1+ (1,0) [0|0] \"\" X\n"
    " SG_ Leaf2 m5 : 8|8@1+ (2,0) [0|0] \"\" X\n"
    " SG_ Both m9 : 16|8@1+ (1,0) [0|0] \"\" X\n"
    " SG_ Mid m0M : 2|4@1+ (1,0) [0|0] \"\" X\n"
    " SG_ Top M : 0|2@1+ (1,0) [0|0] \"\" X\n"
    " SG_ Plain : 24|8@1+ (1,0) [0|0] \"\" X";
constexpr std::string_view kNestedRanges =
    "SG_MUL_VAL_ 256 Mid Top 0-0;\nSG_MUL_VAL_ 256 Leaf1 Mid 4-4, 8-10;\nSG_MUL_VAL_ 256 Leaf2 Mid 5-5;\n"
    "SG_MUL_VAL_ 256 Both Mid 0-14;\n";

TEST_CASE("nested multiplexing, the multiplexors behind their signals") {
  auto decoder = signals(kNested, kNestedRanges);
  CHECK(decoder.database.diagnostic_count == 0);
  CHECK(decoder.decode("100#10112233") == R"("Top":0,"Plain":51,"Mid":4,"Both":34,"Leaf1":17)");
  CHECK(decoder.decode("100#24112233") == R"("Top":0,"Plain":51,"Mid":9,"Both":34,"Leaf1":17)");
  CHECK(decoder.decode("100#14112233") == R"("Top":0,"Plain":51,"Mid":5,"Both":34,"Leaf2":34)");
  CHECK(decoder.decode("100#00112233") == R"("Top":0,"Plain":51,"Mid":0,"Both":34)");
}

TEST_CASE("unknown multiplexer values, short frames and overlaps give the rest") {
  auto decoder = signals(kNested, kNestedRanges);
  CHECK(decoder.decode("100#01112233") == R"("Top":1,"Plain":51 (0,1,0))");
  CHECK(decoder.decode("100#3C112233") == R"("Top":0,"Plain":51,"Mid":15 (0,1,0))");
}

TEST_CASE("what is left out can be listed") {
  auto decoder = signals(kNested, kNestedRanges);
  const auto left_out = [&](std::string_view frame) {
    std::string out;
    for (const LeftOut& missing : decoder.plans[0].left_out(frame_of(frame))) {
      out += std::string(missing.signal->name) + std::to_string(static_cast<int>(missing.why)) + " ";
    }
    return out;
  };
  CHECK(left_out("100#10112233") == "");
  CHECK(left_out("100#101122") == "Plain0 ");
  CHECK(left_out("100#10") == "Plain0 Both0 Leaf10 ");
  CHECK(left_out("100#") == "Top0 Plain0 ");
  CHECK(left_out("100#3C112233") == "Mid1 ");
  CHECK(decoder.decode("100#10") == R"("Top":0,"Mid":4 (3,0,0))");
  CHECK(decoder.decode("100#") == " (2,0,0)");
}

TEST_CASE("overlapping signals are decoded each on its own") {
  CHECK(signals(" SG_ A : 0|16@1+ (1,0) [0|0] \"\" X\n SG_ B : 8|16@1+ (1,0) [0|0] \"\" X").decode("100#010203") ==
        R"("A":513,"B":770)");
}

TEST_CASE("a multiplexor that is signed, or as wide as can be, is compared by its bits") {
  CHECK(signals(" SG_ S M : 0|8@1- (1,0) [0|0] \"\" X\n SG_ A m255 : 8|8@1+ (1,0) [0|0] \"\" X").decode("100#FF05") ==
        R"("S":-1,"A":5)");
  CHECK(signals(" SG_ S M : 0|64@1+ (1,0) [0|0] \"\" X\n SG_ A m18446744073709551615 : 64|8@1+ (1,0) [0|0] \"\" X")
            .decode("100##0FFFFFFFFFFFFFFFF05000000") == R"("S":18446744073709551615,"A":5)");
}

TEST_CASE("keys are JSON whatever a name holds") {
  CHECK(signals(" SG_ a\\b\x01 : 0|8@1+ (1,0) [0|0] \"\" X").decode("100#05") == "\"a\\\\b\\u0001\":5");
}

TEST_CASE("frames find their message by the whole identifier") {
  const std::string one = ": 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" X\n";
  Decoder decoder("BO_ 256 Standard" + one + "BO_ 2147483904 Extended" + one + "BO_ 2364540158 EEC1" + one);
  const auto name = [](const MessagePlan* plan) { return plan == nullptr ? "" : std::string(plan->message().name); };
  CHECK(name(decoder.table.find(0x100, false)) == "Standard");
  CHECK(name(decoder.table.find(0x100, true)) == "Extended");
  CHECK(name(decoder.table.find(0x101, false)) == "");
  CHECK(name(decoder.table.find(frame_of("100#R8"))) == "");
  CHECK(name(decoder.table.find(frame_of("0CF00400#00"))) == "");
  CHECK(name(decoder.table.find_j1939(frame_of("0CF00400#00"))) == "EEC1");
  CHECK(name(decoder.table.find_j1939(frame_of("0CF00400#R8"))) == "");
  CHECK(name(decoder.table.find_j1939(frame_of("100#00"))) == "Standard");
  CHECK(name(decoder.table.find_j1939(frame_of("400#00"))) == "");
  CHECK(name(decoder.table.find_j1939(frame_of("0CF10400#00"))) == "");
}

TEST_CASE("J1939: the group number drops priority, source and, below format 240, the destination") {
  CHECK(pgn_of(0x0CF00400) == 0xF004);
  CHECK(pgn_of(0x18EAFF00) == 0xEA00);
  CHECK(pgn_of(0x18EA0021) == 0xEA00);
  CHECK(pgn_of(0x19F00521) == 0x1F005);
  CHECK(source_address_of(0x0CF00421) == 0x21);
}

TEST_CASE("the first of two messages for one identifier stays, of many tables too") {
  const Database first = parse("BO_ 256 A: 8 X\n");
  const Database second = parse("BO_ 256 B: 8 X\nBO_ 257 C: 8 X\n");
  const auto first_plans = make_plans(first);
  const auto second_plans = make_plans(second);
  MessageTable table;
  CHECK(table.add(first_plans[0]) == nullptr);
  CHECK(table.add(second_plans[0]) == &first_plans[0]);
  CHECK(table.add(second_plans[1]) == nullptr);
  CHECK(table.find(0x100, false) == &first_plans[0]);
  CHECK(table.find(0x101, false) == &second_plans[1]);
}

TEST_CASE("a table holds many identifiers") {
  std::string text;
  for (unsigned id = 0; id < 5000; ++id)
    text += "BO_ " + std::to_string((1U << 31U) + id * 4096) + " M" + std::to_string(id) + ": 8 X\n";
  Decoder decoder(std::move(text));
  for (unsigned id = 0; id < 5000; ++id) {
    REQUIRE(decoder.table.find(id * 4096, true) != nullptr);
    CHECK(decoder.table.find(id * 4096, true)->message().name == "M" + std::to_string(id));
    CHECK(decoder.table.find(id * 4096 + 1, true) == nullptr);
  }
}

TEST_CASE("a database keeps its plans when it is moved") {
  Database database = parse("BO_ 256 A: 8 X\n SG_ S : 0|8@1+ (1,0) [0|0] \"km\" X\n");
  const auto plans = make_plans(database);
  const Database moved = std::move(database);
  CHECK(plans[0].message().name == "A");
  CHECK(plans[0].signals()[0].signal().unit == "km");
}

// The definition of the bit orders, taken literally: bit i of the value, from the least significant one, sits at
// the place this gives (byte * 8 + bit).
unsigned place_of_bit(const Signal& signal, unsigned i) {
  if (signal.byte_order == ByteOrder::kIntel) return signal.start_bit + i;
  unsigned place = signal.start_bit;
  for (unsigned n = signal.length_bits - 1U; n > i; --n) place = place % 8 == 0 ? place + 15 : place - 1;
  return place;
}

void encode(const Signal& signal, std::uint64_t value, std::array<std::byte, kMaxFdBytes>& data) {
  for (unsigned i = 0; i < signal.length_bits; ++i) {
    const unsigned place = place_of_bit(signal, i);
    const auto bit = static_cast<std::byte>(1U << place % 8);
    std::byte& byte = data[place / 8];
    byte = (value >> i & 1U) != 0 ? byte | bit : byte & ~bit;
  }
}

TEST_CASE("random layouts: what a bit-by-bit encoder puts in, the plan takes out") {
  std::mt19937_64 random(1);
  Signal signal;
  signal.name = "S";
  signal.factor = "1";
  signal.offset = "0";
  int layouts = 0;
  int nine_bytes = 0;
  while (layouts < 1'000'000) {
    const std::uint64_t dice = random();
    signal.start_bit = static_cast<std::uint16_t>(dice & 511U);
    signal.length_bits = static_cast<std::uint8_t>(1 + (dice >> 9U & 63U));
    signal.byte_order = (dice >> 15U & 1U) != 0 ? ByteOrder::kIntel : ByteOrder::kMotorola;
    signal.type = (dice >> 16U & 1U) != 0 ? ValueType::kSigned : ValueType::kUnsigned;
    if (signal.end_byte() > kMaxFdBytes) continue;
    ++layouts;
    std::array<std::byte, kMaxFdBytes> data;
    data.fill(static_cast<std::byte>(dice >> 24U));
    const std::uint64_t value = random();
    encode(signal, value, data);
    const unsigned unused = 64U - signal.length_bits;
    const std::uint64_t expected =
        signal.type == ValueType::kSigned
            ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused) >> unused)
            : value << unused >> unused;
    const SignalPlan plan(signal);
    if (plan.extract(data) != expected) {
      CAPTURE(signal.start_bit);
      CAPTURE(int{signal.length_bits});
      CAPTURE(static_cast<int>(signal.byte_order));
      REQUIRE(plan.extract(data) == expected);
    }
    const unsigned lowest = std::min(place_of_bit(signal, 0) / 8, place_of_bit(signal, signal.length_bits - 1U) / 8);
    if (signal.end_byte() - lowest == 9) ++nine_bytes;
  }
  CHECK(nine_bytes > 10'000);
}

}  // namespace
}  // namespace fieldpipe::can
