// SPDX-License-Identifier: MIT
#include "json/writer.h"

#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <fmt/compile.h>

#include "core/bytes.h"
#include "core/text.h"

namespace fieldpipe::json {
namespace {

constexpr std::array<bool, 256> kNeedsEscape = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
  table['"'] = table['\\'] = true;
  return table;
}();

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out.append("\\\""); return;
    case '\\': out.append("\\\\"); return;
    case '\b': out.append("\\b"); return;
    case '\f': out.append("\\f"); return;
    case '\n': out.append("\\n"); return;
    case '\r': out.append("\\r"); return;
    case '\t': out.append("\\t"); return;
    default: out.append("\\u00"); append_hex(out, as_bytes({&c, 1}));
  }
}

// `text` is well-formed UTF-8.
void append_escaped(std::string& out, std::string_view text) {
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!kNeedsEscape[static_cast<unsigned char>(text[i])]) continue;
    out.append(text, copied, i - copied);
    append_escape(out, text[i]);
    copied = i + 1;
  }
  out.append(text, copied);
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (const auto invalid = find_invalid_utf8(text)) {
    append_escaped(out, text.substr(0, *invalid));
    out.append("\xEF\xBF\xBD");
    text.remove_prefix(*invalid + 1);
  }
  append_escaped(out, text);
  out.push_back('"');
}

void append_double(std::string& out, double value) {
  assert(std::isfinite(value));
  std::array<char, 32> digits;  // the longest is -2.2250738585072014e-308
  const char* const end = fmt::format_to(digits.data(), FMT_COMPILE("{}"), value);
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void append_seconds(std::string& out, std::chrono::nanoseconds time) {
  constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
  const bool negative = time.count() < 0;
  const auto count = static_cast<std::uint64_t>(time.count());
  const std::uint64_t magnitude = negative ? 0 - count : count;
  if (negative) out.push_back('-');
  append_integer(out, magnitude / kNanosecondsPerSecond);
  std::uint64_t fraction = magnitude % kNanosecondsPerSecond;
  if (fraction == 0) return;
  int digits = 9;
  for (; fraction % 10 == 0; fraction /= 10) --digits;
  fmt::format_to(std::back_inserter(out), ".{:0{}}", fraction, digits);
}

}  // namespace fieldpipe::json
