// SPDX-License-Identifier: MIT
// CAN databases in the DBC format: what gives the bits of frames names and values. The format has no public
// specification; what is read is what files in the wild hold (commaai/opendbc: opendbc/dbc) and what other readers take
// (cantools/cantools: src/cantools/database/can/formats/dbc.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fieldpipe::can {

// Limits of a file. What goes beyond them is reported and left out, a larger file is refused as a whole.
inline constexpr std::size_t kMaxDbcBytes = std::size_t{64} << 20U;
inline constexpr std::size_t kMaxMessages = 65'536;
inline constexpr std::size_t kMaxSignals = 262'144;  // in all messages together
inline constexpr std::size_t kMaxSignalsPerMessage = 16'384;
inline constexpr std::size_t kMaxChoices = 1'048'576;  // texts of values, and as many ranges of multiplexors
inline constexpr std::size_t kMaxNameBytes = 1024;
inline constexpr std::size_t kMaxMessageBytes = 2048;  // data of CAN XL; J1939 transport messages have 1785
inline constexpr std::size_t kMaxDiagnostics = 100;    // kept; all are counted

// How the bits of a signal are numbered (the digit behind @).
enum class ByteOrder : std::uint8_t {
  kIntel,     // 1: start_bit is the least significant bit, more significant ones follow upwards
  kMotorola,  // 0: start_bit is the most significant bit, less significant ones follow downwards and then in the next
              // byte
};

enum class ValueType : std::uint8_t {
  kUnsigned,
  kSigned,  // two's complement
  kFloat,   // IEEE 754, 16, 32 or 64 bits
};

// The text of one raw value.
struct Choice {
  std::int64_t value;  // of unsigned 64-bit signals the same bits
  std::string_view text;
};

// Values of a multiplexor, both ends included.
struct ValueRange {
  std::uint64_t first;
  std::uint64_t last;

  auto operator<=>(const ValueRange&) const = default;
};

// A number inside the frames of a message. Numbers that are never computed with in here are kept as they are written.
struct Signal {
  std::string_view name;    // the long one where the file has one
  std::string_view factor;  // physical value = raw * factor + offset; decimal numbers, see decimal.h
  std::string_view offset;
  std::string_view minimum;  // of the physical value, no limit for decoding; empty for both, or 0 for both: not given
  std::string_view maximum;
  std::string_view unit;
  std::string_view receivers;  // names, separated by commas or spaces
  std::string_view comment;
  std::string_view start_value;      // GenSigStartValue: raw value before the first frame; empty: not given
  std::optional<std::uint32_t> spn;  // number of the parameter in J1939
  std::uint32_t line = 0;            // of its SG_, from 1
  std::uint16_t start_bit = 0;       // byte * 8 + bit, bit 0 is the least significant of a byte
  std::uint8_t length_bits = 0;      // 1..64
  ByteOrder byte_order = ByteOrder::kIntel;
  ValueType type = ValueType::kUnsigned;
  bool is_multiplexor = false;
  bool is_multiplexed = false;     // in a frame only when its multiplexor is, with a value in `ranges`
  std::uint32_t multiplexor = 0;   // index into the signals of the message; means nothing while `ranges` is empty
  std::vector<ValueRange> ranges;  // ascending, disjoint; empty for a multiplexed signal that can never be present
  std::vector<Choice> choices;     // ascending, each value once

  // Bytes a frame must have at least to hold the signal.
  [[nodiscard]] std::size_t end_byte() const {
    const std::size_t first = byte_order == ByteOrder::kIntel ? start_bit : start_bit / 8U * 8U + (7U - start_bit % 8U);
    return (first + length_bits + 7) / 8;
  }
};

// The text of a raw value as MessagePlan::decode() gives it (signed ones sign-extended), if the file has one for it.
// Values of float signals have none.
std::optional<std::string_view> find_choice(const Signal& signal, std::uint64_t raw);

struct Message {
  std::uint32_t id = 0;    // 11 or 29 bits
  bool extended = false;   // 29-bit identifier
  bool matchable = true;   // false: the number in the file has bits that no identifier has, so that no frame matches
  std::uint32_t line = 0;  // of its BO_, from 1
  std::uint32_t length_bytes = 0;              // at most kMaxMessageBytes; frames may be shorter or longer
  std::optional<std::uint32_t> cycle_time_ms;  // GenMsgCycleTime; 0: not cyclic
  std::string_view name;
  std::string_view sender;
  std::string_view comment;
  std::string_view frame_format;  // VFrameFormat: `StandardCAN`, `J1939PG`...; empty: not given
  std::vector<Signal> signals;    // in the order of the file
};

// What is wrong at one place of a file.
struct Diagnostic {
  std::uint32_t line;  // where the statement begins, from 1
  std::string what;    // lower case, no period, safe to print: `SG_ Speed: length of 65 bits, must be 1 to 64`
};

// The messages of one file. All texts are views into memory the database owns: they stay valid when it is moved, and as
// long as it lives. They are valid UTF-8.
struct Database {
  std::vector<Message> messages;        // in the order of the file, each identifier once
  std::vector<Diagnostic> diagnostics;  // by line; the first kMaxDiagnostics of them
  std::uint64_t diagnostic_count = 0;   // all of them

  std::unique_ptr<const std::string> text;  // the file; what the views point into
  std::deque<std::string> unescaped;        // strings that had \" in them
};

// Parses a file. Statements that are not needed are skipped, those that are broken are reported and skipped up to the
// next line that begins with a keyword; of a broken statement what came before the fault is used if it can be. Of two
// messages with one identifier, signals with one name in a message, or texts of one value the first one is used.
// References to messages and signals that are nowhere defined, which many files have, are ignored in silence; the order
// of statements does not matter. Fails only for a text above kMaxDbcBytes (kBadData).
//
// Bytes: UTF-8 if all of the text is, otherwise taken for Windows-1252, which other editors write; NUL bytes are
// spaces. Statements: BO_ SG_ VAL_ CM_ BA_ BA_DEF_ BA_DEF_DEF_ SIG_VALTYPE_ SG_MUL_VAL_ are read, all others known are
// skipped. Attributes that are read: GenMsgCycleTime, GenSigStartValue, VFrameFormat, SPN, SystemMessageLongSymbol,
// SystemSignalLongSymbol. VECTOR__INDEPENDENT_SIG_MSG, which holds signals of no message, is left out.
//
// Identifiers: bit 31 of the number means 29 bits. A number above 0x7FF without it is taken as a 29-bit identifier too,
// and reported once.
//
// Multiplexing: a signal marked mN belongs to the one marked M, unless SG_MUL_VAL_ says more. Chains may have any
// depth; a signal whose chain never ends is reported and never present.
Result<Database> parse_dbc(std::string text);

}  // namespace fieldpipe::can
