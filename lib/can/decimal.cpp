// SPDX-License-Identifier: MIT
#include "can/decimal.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include <fmt/compile.h>
#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::can {
namespace {

__extension__ using Unsigned128 = unsigned __int128;

constexpr int kMaxExponent = 99;
constexpr int kMaxDigits = 38;  // 10^38 is the largest power of ten in 127 bits
constexpr std::uint32_t kEightDigits = 100'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `value` * 10^`power`, or nothing when that leaves 127 bits.
std::optional<Int128> shifted(Int128 value, int power) {
  if (value == 0) return 0;
  if (power > kMaxDigits) return std::nullopt;
  for (; power > 0; --power) {
    if (__builtin_mul_overflow(value, 10, &value)) return std::nullopt;
  }
  return value;
}

// The digits of `value`, which is below 10^8, as numbers 0..9, the first one in the lowest byte: the number is split
// into fours, twos and ones, all parts at once. Divisions are multiplications that are exact for so few digits.
std::uint64_t split_digits(std::uint32_t value) {
  std::uint64_t parts = value / 10'000 | std::uint64_t{value % 10'000} << 32U;
  const std::uint64_t hundreds = (parts * 10'486 >> 20U) & 0x0000007F'0000007FU;
  parts = hundreds | (parts - hundreds * 100) << 16U;
  const std::uint64_t tens = (parts * 103 >> 10U) & 0x000F'000F'000F'000FU;
  return tens | (parts - tens * 10) << 8U;
}

constexpr std::uint64_t kAsciiZeros = 0x3030303030303030U;

void store_digits(char* to, std::uint64_t digits) {
  if constexpr (std::endian::native == std::endian::big) digits = __builtin_bswap64(digits);
  std::memcpy(to, &digits, sizeof(digits));
}

// `value` / 10^`places` for values of at most eight digits and seven places, which most are. There is no branch in it,
// because neither the number of digits nor that of zeros at the end can be predicted.
char* put_short(char* to, std::uint32_t value, unsigned places) {
  const std::uint64_t digits = split_digits(value);
  const unsigned point = 8 - places;
  const unsigned first = std::min(static_cast<unsigned>(std::countr_zero(digits)) / 8, point - 1);
  const unsigned last = std::max(8 - static_cast<unsigned>(std::countl_zero(digits)) / 8, point);
  const std::uint64_t text = digits | kAsciiZeros;
  store_digits(to, text >> 8 * first);
  char* const end_of_whole = to + (point - first);
  *end_of_whole = '.';
  store_digits(end_of_whole + 1, text >> 8U >> 8 * (point - 1));
  return to + (last - first) + (last > point ? 1 : 0);
}

// The same for any number of digits.
template <typename Unsigned>
char* put_long(char* to, Unsigned value, unsigned places) {
  std::array<char, 40> text;
  text.fill('0');
  std::size_t first = text.size();
  do {
    first -= 8;
    store_digits(text.data() + first, split_digits(static_cast<std::uint32_t>(value % kEightDigits)) | kAsciiZeros);
    value /= kEightDigits;
  } while (value != 0);
  const std::size_t point = text.size() - places;
  first = std::min(first, point - 1);
  while (first < point - 1 && text[first] == '0') ++first;
  std::size_t last = text.size();
  while (last > point && text[last - 1] == '0') --last;
  to = std::copy(text.data() + first, text.data() + point, to);
  if (last == point) return to;
  *to++ = '.';
  return std::copy(text.data() + point, text.data() + last, to);
}

}  // namespace

std::optional<Decimal> parse_decimal(std::string_view text) {
  std::size_t at = 0;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) ++at;
  Decimal number;
  std::size_t digits = 0;
  std::int64_t exponent = 0;
  bool fraction = false;
  // Zeros wait until another digit follows, so that those at the end cost no room.
  int zeros = 0;
  for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !fraction)); ++at) {
    if (text[at] == '.') {
      fraction = true;
      continue;
    }
    ++digits;
    if (fraction) --exponent;
    if (text[at] == '0') {
      if (number.digits != 0) ++zeros;
      continue;
    }
    const auto room = shifted(number.digits, zeros + 1);
    if (!room || __builtin_add_overflow(*room, text[at] - '0', &number.digits)) return std::nullopt;
    zeros = 0;
  }
  if (digits == 0) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    std::string_view power = text.substr(at + 1);
    if (power.starts_with('+') && !power.starts_with("+-")) power.remove_prefix(1);
    const auto written = parse_integer<int>(power);
    if (!written) return std::nullopt;
    exponent += *written;
  } else if (at != text.size()) {
    return std::nullopt;
  }
  if (number.digits == 0) return number;
  exponent += zeros;
  if (exponent < -kMaxExponent || exponent > kMaxExponent) return std::nullopt;
  number.exponent = static_cast<int>(exponent);
  if (negative) number.digits = -number.digits;
  return number;
}

std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  if (first == text.size() || !(is_digit(text[first]) || text[first] == '.')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Scaling::Scaling(std::string_view factor, std::string_view offset, unsigned bits, bool is_signed)
    : double_factor_(parse_number(factor).value_or(1)),
      double_offset_(parse_number(offset).value_or(0)),
      is_signed_(is_signed) {
  const auto exact_factor = parse_decimal(factor);
  const auto exact_offset = parse_decimal(offset);
  if (!exact_factor || !exact_offset) return;
  const int places = std::max({0, -exact_factor->exponent, -exact_offset->exponent});
  const auto whole_factor = shifted(exact_factor->digits, exact_factor->exponent + places);
  const auto whole_offset = shifted(exact_offset->digits, exact_offset->exponent + places);
  if (places > kMaxDigits || !whole_factor || !whole_offset) return;
  // The largest magnitude there can be: that of the largest raw value, away from zero on both sides.
  const Int128 largest_raw = Int128{1} << (is_signed ? bits - 1 : bits);
  Int128 largest = 0;
  if (__builtin_mul_overflow(*whole_factor < 0 ? -*whole_factor : *whole_factor, largest_raw, &largest)) return;
  if (__builtin_add_overflow(largest, *whole_offset < 0 ? -*whole_offset : *whole_offset, &largest)) return;
  factor_ = *whole_factor;
  offset_ = *whole_offset;
  places_ = static_cast<std::uint8_t>(places);
  form_ = largest <= std::numeric_limits<std::int64_t>::max() ? Form::kNarrow : Form::kWide;
}

char* Scaling::put(char* to, std::uint64_t raw) const {
  if (form_ == Form::kNarrow) {
    const std::int64_t scaled =
        static_cast<std::int64_t>(raw) * static_cast<std::int64_t>(factor_) + static_cast<std::int64_t>(offset_);
    *to = '-';
    to += scaled < 0 ? 1 : 0;
    const auto magnitude = static_cast<std::uint64_t>(scaled < 0 ? -scaled : scaled);
    if (magnitude < kEightDigits && places_ < 8) return put_short(to, static_cast<std::uint32_t>(magnitude), places_);
    return put_long(to, magnitude, places_);
  }
  if (form_ == Form::kDouble) return put_double(to, value(raw));
  const Int128 scaled = (is_signed_ ? Int128{static_cast<std::int64_t>(raw)} : Int128{raw}) * factor_ + offset_;
  *to = '-';
  to += scaled < 0 ? 1 : 0;
  const auto magnitude = static_cast<Unsigned128>(scaled < 0 ? -scaled : scaled);
  if (magnitude <= std::numeric_limits<std::uint64_t>::max()) {
    return put_long(to, static_cast<std::uint64_t>(magnitude), places_);
  }
  return put_long(to, magnitude, places_);
}

double Scaling::value(std::uint64_t raw) const {
  return value_of(is_signed_ ? static_cast<double>(static_cast<std::int64_t>(raw)) : static_cast<double>(raw));
}

double Scaling::value_of(double raw) const {
  // Adding zero would lose the sign of -0.
  if (double_factor_ == 1 && double_offset_ == 0) return raw;
  return raw * double_factor_ + double_offset_;
}

char* put_double(char* to, double value) { return fmt::format_to(to, FMT_COMPILE("{}"), value); }

}  // namespace fieldpipe::can
