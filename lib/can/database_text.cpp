// SPDX-License-Identifier: MIT
#include "can/database_text.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "can/decimal.h"
#include "json/writer.h"

namespace fieldpipe::can {
namespace {

std::string_view name_of(ValueType type) {
  switch (type) {
    case ValueType::kUnsigned: return "unsigned";
    case ValueType::kSigned: return "signed";
    case ValueType::kFloat: return "float";
  }
  return "";
}

void append_text(std::string& out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  out += fmt::format(R"(,"{}":)", key);
  json::append_string(out, text);
}

// A number as the file has it is not always one in JSON: `+1`, `.25`, `1E-006`.
void append_number(std::string& out, std::string_view key, std::string_view text) {
  const auto number = parse_number(text);
  if (!number) return;
  std::array<char, kMaxScaledBytes> digits{};
  out += fmt::format(R"(,"{}":{})", key, std::string_view(digits.data(), put_double(digits.data(), *number)));
}

void append_signal(std::string& out, const Message& message, const Signal& signal) {
  out += R"({"signal":)";
  json::append_string(out, signal.name);
  out += fmt::format(R"(,"start":{},"length":{},"byte_order":"{}","type":"{}")", signal.start_bit, signal.length_bits,
                     signal.byte_order == ByteOrder::kIntel ? "intel" : "motorola", name_of(signal.type));
  append_number(out, "factor", signal.factor);
  append_number(out, "offset", signal.offset);
  append_number(out, "minimum", signal.minimum);
  append_number(out, "maximum", signal.maximum);
  append_text(out, "unit", signal.unit);
  append_text(out, "receivers", signal.receivers);
  append_number(out, "start_value", signal.start_value);
  if (signal.spn) out += fmt::format(R"(,"spn":{})", *signal.spn);
  if (signal.is_multiplexor) out += R"(,"is_multiplexor":true)";
  if (signal.is_multiplexed && !signal.ranges.empty()) {
    append_text(out, "multiplexor", message.signals[signal.multiplexor].name);
    std::string_view separator = R"(,"values":[)";
    for (const ValueRange& range : signal.ranges) {
      out += fmt::format("{}[{},{}]", separator, range.first, range.last);
      separator = ",";
    }
    out += ']';
  }
  if (!signal.choices.empty()) {
    std::string_view separator = R"(,"choices":{)";
    for (const Choice& choice : signal.choices) {
      out += signal.type == ValueType::kUnsigned
                 ? fmt::format(R"({}"{}":)", separator, static_cast<std::uint64_t>(choice.value))
                 : fmt::format(R"({}"{}":)", separator, choice.value);
      json::append_string(out, choice.text);
      separator = ",";
    }
    out += '}';
  }
  append_text(out, "comment", signal.comment);
  out += '}';
}

}  // namespace

void append_message(std::string& out, const Message& message) {
  out += R"({"message":)";
  json::append_string(out, message.name);
  out += fmt::format(R"(,"id":{},"extended":{},"length":{})", message.id, message.extended, message.length_bytes);
  append_text(out, "sender", message.sender);
  if (message.cycle_time_ms) out += fmt::format(R"(,"cycle_time_ms":{})", *message.cycle_time_ms);
  append_text(out, "frame_format", message.frame_format);
  append_text(out, "comment", message.comment);
  out += R"(,"signals":[)";
  for (const Signal& signal : message.signals) {
    if (&signal != &message.signals.front()) out += ',';
    append_signal(out, message, signal);
  }
  out += "]}\n";
}

}  // namespace fieldpipe::can
