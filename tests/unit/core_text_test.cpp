// SPDX-License-Identifier: MIT
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "core/text.h"

using namespace fieldpipe;
using namespace std::chrono_literals;
using namespace std::string_literals;
using std::string_view_literals::operator""sv;

TEST_CASE("an integer is the whole text or nothing") {
  CHECK(parse_integer<int>("0") == 0);
  CHECK(parse_integer<int>("-12") == -12);
  CHECK(parse_integer<std::uint64_t>("18446744073709551615") == std::numeric_limits<std::uint64_t>::max());
  CHECK(parse_integer<std::uint32_t>("1FFFFFFF", 16) == 0x1FFFFFFFU);
  for (const std::string_view text : {"", " 1", "1 ", "+1", "0x1", "1.0", "1e3", "-", "--1", "2147483648"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_integer<int>(text));
  }
  CHECK_FALSE(parse_integer<unsigned>("-1"));
  CHECK_FALSE(parse_integer<std::uint8_t>("256"));
}

TEST_CASE("durations") {
  using std::chrono::nanoseconds;
  const std::array<std::pair<std::string_view, nanoseconds>, 10> good{{{"0", 0ns},
                                                                       {"0s", 0ns},
                                                                       {"7us", 7us},
                                                                       {"500ms", 500ms},
                                                                       {"2s", 2s},
                                                                       {"1.5s", 1500ms},
                                                                       {"0.25m", 15s},
                                                                       {"5m", 5min},
                                                                       {"24h", 24h},
                                                                       {"2d", 48h}}};
  for (const auto& [text, value] : good) {
    CAPTURE(text);
    CHECK(parse_duration(text).value() == value);
  }
  CHECK(parse_duration("1.0000000019s").value() == 1'000'000'001ns);
  CHECK(parse_duration("30", "s").value() == 30s);
  CHECK(parse_duration("30ms", "s").value() == 30ms);

  for (const std::string_view text :
       {"", "s", "2", "1.5", "-1s", "+1s", " 1s", "1s ", "1 s", ".5s", "1.s", "1S", "1.5.5s", "1e3s", "0x1s", "1ns"}) {
    CAPTURE(text);
    const auto refused = parse_duration(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kUsage);
    CHECK(refused.error().what == "'" + std::string(text) + "' is not a duration");
    CHECK(refused.error().hint == "a number and us, ms, s, m, h or d: 500ms, 2s, 5m");
  }
  CHECK(parse_duration("soon", "s").error().hint == "a number of seconds, or with a unit: 500ms, 2s, 5m");
  for (const std::string_view text : {"9223372037s", "106752d", "99999999999999999999s"}) {
    CHECK(parse_duration(text).error().what == "duration " + std::string(text) + " is too long, at most 292 years");
  }
  CHECK(parse_duration("9223372035s"));
}

TEST_CASE("durations are printed with the largest unit that leaves a whole number") {
  CHECK(print_duration(0s) == "0s");
  CHECK(print_duration(1500ms) == "1500ms");
  CHECK(print_duration(2s) == "2s");
  CHECK(print_duration(5min) == "5m");
  CHECK(print_duration(48h) == "2d");
  CHECK(print_duration(3us) == "3us");
  CHECK(print_duration(3001ns) == "3001ns");
}

TEST_CASE("sizes") {
  const std::array<std::pair<std::string_view, std::uint64_t>, 9> good{{{"0", 0},
                                                                        {"17", 17},
                                                                        {"17B", 17},
                                                                        {"1kB", 1000},
                                                                        {"1KB", 1000},
                                                                        {"1MB", 1'000'000},
                                                                        {"64KiB", 65536},
                                                                        {"1GiB", std::uint64_t{1} << 30U},
                                                                        {"18446744073709551615", ~std::uint64_t{0}}}};
  for (const auto& [text, value] : good) {
    CAPTURE(text);
    CHECK(parse_size(text).value() == value);
  }
  for (const std::string_view text :
       {"", "B", "1k", "1M", "1.5MB", "-1", " 1", "1 MB", "1mb", "18446744073709551616"}) {
    CAPTURE(text);
    const auto refused = parse_size(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kUsage);
    CHECK(refused.error().what == "'" + std::string(text) + "' is not a size");
  }
  CHECK(parse_size("99999999999GiB").error().what == "size 99999999999GiB is too large");

  CHECK(print_size(0) == "0B");
  CHECK(print_size(17) == "17B");
  CHECK(print_size(100'000) == "100kB");
  CHECK(print_size(1'000'000) == "1MB");
  CHECK(print_size(1U << 20U) == "1MiB");
  CHECK(print_size(std::uint64_t{3} << 30U) == "3GiB");
}

TEST_CASE("the first byte that is not UTF-8 is found at every place") {
  // U+0000 U+007F U+0080 U+07FF U+0800 U+D7FF U+E000 U+FFFF U+10000 U+10FFFF
  const std::string good =
      "\x00\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"s;
  CHECK_FALSE(find_invalid_utf8(good));
  CHECK_FALSE(find_invalid_utf8(""));
  const std::array bad{"\x80"sv,
                       "\xBF"sv,
                       "\xC0\x80"sv,
                       "\xC1\xBF"sv,
                       "\xC2"sv,
                       "\xC2\x41"sv,
                       "\xE0\x9F\xBF"sv,
                       "\xE1\x80"sv,
                       "\xED\xA0\x80"sv,
                       "\xED\xBF\xBF"sv,
                       "\xF0\x8F\xBF\xBF"sv,
                       "\xF1\x80\x80"sv,
                       "\xF4\x90\x80\x80"sv,
                       "\xF5\x80\x80\x80"sv,
                       "\xFF"sv};
  for (const std::string_view sequence : bad) {
    for (std::size_t before = 0; before < 18; ++before) {
      const std::string text = std::string(before, 'a') + std::string(sequence) + "aaaaaaaaa";
      CAPTURE(text);
      CHECK(find_invalid_utf8(text) == before);
      CHECK(find_invalid_utf8(std::string(before, 'a') + std::string(sequence)) == before);
    }
  }
}

TEST_CASE("remote text cannot drive a terminal") {
  CHECK(printable("plain text, gerät 1") == "plain text, gerät 1");
  CHECK(printable("a\nb\rc\td") == "a\\nb\\rc\\td");
  CHECK(printable("\x1B[31m\x7F\x00"sv) == "\\x1b[31m\\x7f\\x00");
  CHECK(printable("\xC2\x9B"
                  "1m") == "\\xc2\\x9b1m");  // U+009B is the one-character form of ESC [
  CHECK(printable("\xFF\xE9") == "\\xff\\xe9");
  CHECK(printable("abcdef", 3) == "abc...");
  CHECK(printable("abc", 3) == "abc");
  CHECK(printable(std::string(100, 'x')) == std::string(80, 'x') + "...");
}

TEST_CASE("trimmed") {
  CHECK(trimmed(" \t\r\na b\r\n") == "a b");
  CHECK(trimmed(" \n") == "");
  CHECK(trimmed("") == "");
}
