// SPDX-License-Identifier: MIT
// Decimal numbers kept exact: what a DBC writes as factor and offset, and raw * factor + offset as text without the
// noise of binary fractions (0.3, not 0.30000000000000004).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fieldpipe::can {

// Not in the standard, but in every compiler that is supported.
__extension__ using Int128 = __int128;

// The number digits * 10^exponent, with no zero at the end of `digits`.
struct Decimal {
  Int128 digits = 0;
  int exponent = 0;

  bool operator==(const Decimal&) const = default;
};

// The decimal that the whole of `text` spells: sign, digits with perhaps a point, exponent, as in `1`, `-0.5`, `+1`,
// `.25`, `1E-006`. Nothing if it is something else, has more than 38 digits that count, or an exponent outside -99..99.
std::optional<Decimal> parse_decimal(std::string_view text);

// The nearest double of the same texts without those limits. Nothing if it is something else or beyond what doubles
// hold; infinities and NaN are no numbers here.
std::optional<double> parse_number(std::string_view text);

// Room that Scaling::put() needs: 128 bits with sign, point and all places.
inline constexpr std::size_t kMaxScaledBytes = 48;

// raw * factor + offset for one kind of raw value, printed exactly where 128 bits hold it.
//
// The text is plain decimal digits without exponent, and as short as it can be: no zeros behind the point that say
// nothing, no point behind whole numbers (`1`, `-0.5`, `0.000001`). With factor 1 and offset 0 it is the integer, all
// 64 bits of it. Where the digits do not fit it is the shortest text of the nearest double, perhaps with an exponent
// (`1.5e+300`).
class Scaling {
 public:
  // `factor` and `offset` are texts that parse_number() takes; what it does not take counts as 1 and 0. Raw values have
  // `bits` bits (1..64) and are two's complement if `is_signed`.
  Scaling(std::string_view factor, std::string_view offset, unsigned bits, bool is_signed);

  // Whether every raw value has exact text, and so is finite.
  [[nodiscard]] bool is_exact() const { return form_ != Form::kDouble; }

  // Writes the text of an integer to `to`, which has room for kMaxScaledBytes, and gives its end; bytes behind it may
  // be written too. A signed `raw` is sign-extended to 64 bits. If !is_exact(), value() must be finite.
  char* put(char* to, std::uint64_t raw) const;

  // The nearest double of raw * factor + offset.
  [[nodiscard]] double value(std::uint64_t raw) const;

  // The same for what is a double already, as the raw values of float signals are.
  [[nodiscard]] double value_of(double raw) const;

 private:
  enum class Form : std::uint8_t { kNarrow, kWide, kDouble };

  Int128 factor_ = 1;  // times 10^places_
  Int128 offset_ = 0;
  double double_factor_ = 1;
  double double_offset_ = 0;
  std::uint8_t places_ = 0;    // digits behind the point
  Form form_ = Form::kDouble;  // kNarrow: 64-bit arithmetic is enough
  bool is_signed_;
};

// Writes the shortest text that reads back as `value`, which must be finite, as Scaling::put() does.
char* put_double(char* to, double value);

}  // namespace fieldpipe::can
