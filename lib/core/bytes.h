// SPDX-License-Identifier: MIT
// Bytes as a type, integers in either byte order, hex and base64.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe {

using Bytes = std::span<const std::byte>;

// A view of the characters of `text` as bytes. Lives as long as the text.
inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// A view of `bytes` as characters. Lives as long as the bytes.
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Reads an unsigned integer from the first sizeof(T) bytes; the caller has checked that they are there.
template <std::unsigned_integral T>
T load_be(const std::byte* from) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8U) | std::to_integer<T>(from[i]));
  return value;
}

template <std::unsigned_integral T>
T load_le(const std::byte* from) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>((value << 8U) | std::to_integer<T>(from[i]));
  return value;
}

// Writes all sizeof(T) bytes of `value`; the caller has checked that there is room.
template <std::unsigned_integral T>
void store_be(T value, std::byte* to) {
  for (std::size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 8U))
    to[i] = static_cast<std::byte>(value & 0xFFU);
}

template <std::unsigned_integral T>
void store_le(T value, std::byte* to) {
  for (std::size_t i = 0; i < sizeof(T); ++i, value = static_cast<T>(value >> 8U))
    to[i] = static_cast<std::byte>(value & 0xFFU);
}

// Value of each character as a hex digit, kNotHex for all others.
inline constexpr std::uint8_t kNotHex = 0xFF;
inline constexpr std::array<std::uint8_t, 256> kHexValue = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNotHex);
  for (unsigned i = 0; i < 10; ++i) table['0' + i] = static_cast<std::uint8_t>(i);
  for (unsigned i = 0; i < 6; ++i) table['a' + i] = table['A' + i] = static_cast<std::uint8_t>(10 + i);
  return table;
}();

inline constexpr std::string_view kLowerHex = "0123456789abcdef";
inline constexpr std::string_view kUpperHex = "0123456789ABCDEF";

// Appends two digits a byte to `out`.
void append_hex(std::string& out, Bytes bytes, std::string_view digits = kLowerHex);

// Appends the bytes that `text` names to `out`: an even number of hex digits of either case and
// nothing else. Fails with kBadData and the offset of the first character that does not fit;
// `out` then holds the bytes before it.
Result<void> decode_hex(std::string_view text, std::string& out);

// Appends base64 (RFC 4648 section 4, with padding) to `out`.
void append_base64(std::string& out, Bytes bytes);

// Appends the bytes of a base64 text (RFC 4648 section 4) to `out`. Padding is required, unused
// bits must be zero and white space is refused, so that one value has one text. Fails with
// kBadData and an offset; `out` is then as it was.
Result<void> decode_base64(std::string_view text, std::string& out);

}  // namespace fieldpipe
