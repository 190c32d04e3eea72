// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "can/decimal.h"

namespace fieldpipe::can {
namespace {

// "digits e exponent", or "none".
std::string decimal(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number) return "none";
  std::string digits;
  for (Int128 rest = number->digits < 0 ? -number->digits : number->digits; rest != 0 || digits.empty(); rest /= 10) {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
  }
  return (number->digits < 0 ? "-" : "") + digits + "e" + std::to_string(number->exponent);
}

std::string scaled(std::string_view factor, std::string_view offset, std::uint64_t raw, unsigned bits = 64,
                   bool is_signed = false) {
  std::array<char, kMaxScaledBytes> text;
  const Scaling scaling(factor, offset, bits, is_signed);
  return {text.data(), scaling.put(text.data(), raw)};
}

std::string scaled_signed(std::string_view factor, std::string_view offset, std::int64_t raw, unsigned bits = 64) {
  return scaled(factor, offset, static_cast<std::uint64_t>(raw), bits, true);
}

TEST_CASE("decimals of every form, and their neighbours that are none") {
  CHECK(decimal("1") == "1e0");
  CHECK(decimal("0") == "0e0");
  CHECK(decimal("-0.0") == "0e0");
  CHECK(decimal("+1") == "1e0");
  CHECK(decimal("-0.5") == "-5e-1");
  CHECK(decimal(".25") == "25e-2");
  CHECK(decimal("5.") == "5e0");
  CHECK(decimal("100") == "1e2");
  CHECK(decimal("1.50000") == "15e-1");
  CHECK(decimal("1E-006") == "1e-6");
  CHECK(decimal("4e-09") == "4e-9");
  CHECK(decimal("1e+09") == "1e9");
  CHECK(decimal("1.5e3") == "15e2");
  CHECK(decimal("12345678901234567890123456789012345678") == "12345678901234567890123456789012345678e0");
  CHECK(decimal("1e99") == "1e99");
  for (const char* text : {"",
                           "+",
                           "-",
                           ".",
                           "-.",
                           "+-1",
                           "-+1",
                           "--1",
                           "1.2.3",
                           "1e",
                           "1e+",
                           "1e+-2",
                           "1e 2",
                           "e5",
                           " 1",
                           "1 ",
                           "0x1",
                           "1,5",
                           "inf",
                           "nan",
                           "1e100",
                           "1e-100",
                           "1e99999999999",
                           "1234567890123456789012345678901234567891"}) {
    CAPTURE(text);
    CHECK(decimal(text) == "none");
  }
}

TEST_CASE("numbers are the nearest doubles, and finite") {
  CHECK(parse_number("1E-006") == 1e-6);
  CHECK(parse_number("+.25") == 0.25);
  CHECK(parse_number("1234567890123456789012345678901234567891") == 1234567890123456789012345678901234567891.0);
  CHECK(parse_number("1e300") == 1e300);
  for (const char* text : {"", "+", "+-1", "inf", "-inf", "nan", "1e999", "0x10", "1f", "infinity", "- 1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number(text));
  }
}

TEST_CASE("raw * factor + offset is exact, and as short as can be") {
  CHECK(scaled("0.1", "0", 3, 8) == "0.3");
  CHECK(scaled("0.1", "0", 10, 8) == "1");
  CHECK(scaled("0.1", "0", 0, 8) == "0");
  CHECK(scaled("0.10", "0.0", 255, 8) == "25.5");
  CHECK(scaled("1E-006", "0", 1, 16) == "0.000001");
  CHECK(scaled("-0.4", "102.4", 255, 8) == "0.4");
  CHECK(scaled("-0.4", "102.4", 0, 8) == "102.4");
  CHECK(scaled("1", "-40", 0, 8) == "-40");
  CHECK(scaled("100", "7", 5, 8) == "507");
  CHECK(scaled("1e+09", "0", 3, 8) == "3000000000");
  CHECK(scaled("0.5", "-10", 20, 8) == "0");
  CHECK(scaled("0", "0.5", 20, 8) == "0.5");
  CHECK(scaled_signed("0.005", "-0.5", -1, 16) == "-0.505");
  CHECK(scaled_signed("0.01", "0", -64, 7) == "-0.64");
  CHECK(scaled("1", "0", 99'999'999, 32) == "99999999");
  CHECK(scaled("1", "0", 100'000'000, 32) == "100000000");
  CHECK(scaled("0.0000001", "0", 1, 8) == "0.0000001");
  CHECK(scaled("0.00000001", "0", 1, 8) == "0.00000001");
  CHECK(scaled("0.00000001", "0", 100'000'000, 32) == "1");
  CHECK(scaled("1e-38", "0", 1, 8) == "0.00000000000000000000000000000000000001");
}

TEST_CASE("all 64 bits, and more than 64 where the digits need them") {
  CHECK(scaled("1", "0", UINT64_MAX) == "18446744073709551615");
  CHECK(scaled("1.0", "0.00", UINT64_MAX) == "18446744073709551615");
  CHECK(scaled_signed("1", "0", INT64_MIN) == "-9223372036854775808");
  CHECK(scaled_signed("-1", "0", INT64_MIN) == "9223372036854775808");
  CHECK(scaled("0.001", "0", UINT64_MAX) == "18446744073709551.615");
  CHECK(scaled("1000", "-1", UINT64_MAX) == "18446744073709551614999");
  CHECK(scaled("1", "0", 1ULL << 63U, 64) == "9223372036854775808");
  CHECK(scaled("4.6566128730774E-10", "-180", UINT32_MAX, 32) == "-178.0000000004656580996367");
  CHECK(scaled("1", "0", (1ULL << 62U) - 1, 62) == "4611686018427387903");
}

TEST_CASE("what 128 bits do not hold is the shortest double") {
  CHECK(Scaling("1e-38", "0", 8, false).is_exact());
  CHECK_FALSE(Scaling("1e-39", "0", 8, false).is_exact());
  CHECK_FALSE(Scaling("1e30", "1e-20", 8, false).is_exact());
  CHECK(scaled("1e-39", "0", 5, 8) == "5e-39");
  CHECK(scaled("1e300", "0", 3, 8) == "3e+300");
  CHECK(scaled_signed("1e30", "1e-20", -2, 8) == "-2e+30");
  // Factors that are no numbers count as 1, offsets as 0.
  CHECK(scaled("x", "y", 3, 8) == "3");
}

TEST_CASE("random scalings agree with long division of their digits") {
  std::mt19937_64 random(2);
  std::array<char, kMaxScaledBytes> text;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t dice = random();
    const auto places = static_cast<unsigned>(dice % 12);
    const auto factor_digits = static_cast<std::int64_t>(dice >> 8U & 0xFFFFU) - 0x8000;
    const auto offset_digits = static_cast<std::int64_t>(dice >> 24U & 0xFFFFFFU) - 0x800000;
    const auto bits = static_cast<unsigned>(1 + (dice >> 56U & 31U));
    const std::uint64_t raw = random() >> (64U - bits);
    const std::string exponent = "e-" + std::to_string(places);
    const Scaling scaling(std::to_string(factor_digits) + exponent, std::to_string(offset_digits) + exponent, bits,
                          false);
    const std::string printed(text.data(), scaling.put(text.data(), raw));
    // Independent way: the digits as an integer, a point put into them, zeros taken off.
    const std::int64_t whole = static_cast<std::int64_t>(raw) * factor_digits + offset_digits;
    std::string expected = std::to_string(std::abs(whole));
    if (expected.size() <= places) expected.insert(0, places + 1 - expected.size(), '0');
    if (places > 0) {
      expected.insert(expected.size() - places, ".");
      expected.erase(expected.find_last_not_of('0') + 1);
      if (expected.back() == '.') expected.pop_back();
    }
    if (whole < 0) expected.insert(0, "-");
    if (printed != expected) REQUIRE(printed == expected);
  }
}

}  // namespace
}  // namespace fieldpipe::can
