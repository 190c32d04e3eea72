// SPDX-License-Identifier: MIT
#include "core/bytes.h"

#include <fmt/format.h>

namespace fieldpipe {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNotBase64 = 0xFF;
constexpr std::array<std::uint8_t, 256> kBase64Value = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNotBase64);
  for (std::size_t i = 0; i < kBase64.size(); ++i)
    table[static_cast<unsigned char>(kBase64[i])] = static_cast<std::uint8_t>(i);
  return table;
}();

}  // namespace

void append_hex(std::string& out, Bytes bytes, std::string_view digits) {
  const std::size_t start = out.size();
  out.resize(start + 2 * bytes.size());
  char* to = out.data() + start;
  for (const std::byte b : bytes) {
    *to++ = digits[std::to_integer<unsigned>(b) >> 4U];
    *to++ = digits[std::to_integer<unsigned>(b) & 15U];
  }
}

Result<void> decode_hex(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const unsigned high = kHexValue[static_cast<unsigned char>(text[i])];
    const unsigned low = kHexValue[static_cast<unsigned char>(text[i + 1])];
    if ((high | low) > 15U) {
      return fail_at(high > 15U ? i : i + 1, ErrorCode::kBadData, "not a hex digit");
    }
    out.push_back(static_cast<char>(high << 4U | low));
  }
  if (text.size() % 2 != 0) {
    return fail_at(text.size() - 1, ErrorCode::kBadData, fmt::format("odd number of hex digits: {}", text.size()));
  }
  return {};
}

void append_base64(std::string& out, Bytes bytes) {
  const std::size_t start = out.size();
  out.resize(start + (bytes.size() + 2) / 3 * 4);
  char* to = out.data() + start;
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return std::to_integer<unsigned>(bytes[k]); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const unsigned group = at(i) << 16U | at(i + 1) << 8U | at(i + 2);
    for (unsigned shift : {18U, 12U, 6U, 0U}) *to++ = kBase64[group >> shift & 63U];
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 0) return;
  const unsigned group = at(i) << 16U | (rest == 2 ? at(i + 1) << 8U : 0U);
  *to++ = kBase64[group >> 18U];
  *to++ = kBase64[group >> 12U & 63U];
  *to++ = rest == 2 ? kBase64[group >> 6U & 63U] : '=';
  *to = '=';
}

Result<void> decode_base64(std::string_view text, std::string& out) {
  if (text.size() % 4 != 0) {
    return fail_at(text.size(), ErrorCode::kBadData,
                   fmt::format("base64 of {} characters, must be a multiple of 4", text.size()));
  }
  std::size_t padding = 0;
  if (text.ends_with("==")) {
    padding = 2;
  } else if (text.ends_with("=")) {
    padding = 1;
  }
  const std::size_t start = out.size();
  out.resize(start + text.size() / 4 * 3);
  char* to = out.data() + start;
  const std::size_t digits = text.size() - padding;
  unsigned group = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (i < digits) {
      value = kBase64Value[static_cast<unsigned char>(text[i])];
      if (value == kNotBase64) {
        out.resize(start);
        return fail_at(i, ErrorCode::kBadData, "not a base64 character");
      }
    }
    group = group << 6U | value;
    if (i % 4 == 3) {
      *to++ = static_cast<char>(group >> 16U & 0xFFU);
      *to++ = static_cast<char>(group >> 8U & 0xFFU);
      *to++ = static_cast<char>(group & 0xFFU);
    }
  }
  const unsigned unused = padding == 0 ? 0U : padding == 1 ? group & 0xFFU : group & 0xFFFFU;
  if (unused != 0) {
    out.resize(start);
    return fail_at(digits - 1, ErrorCode::kBadData, "base64 with bits left over");
  }
  out.resize(out.size() - padding);
  return {};
}

}  // namespace fieldpipe
