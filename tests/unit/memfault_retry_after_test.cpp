// SPDX-License-Identifier: MIT
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "memfault/retry_after.h"

using namespace fieldpipe;
using namespace fieldpipe::memfault;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kNow = std::chrono::sys_days(2026y / 11 / 20) + 13h;
constexpr std::string_view kDate = "Fri, 20 Nov 2026 13:00:00 GMT";

// In seconds; 0 for nothing.
std::int64_t wait(std::string_view value, std::string_view date = kDate, WallTime now = kNow) {
  const auto parsed = parse_retry_after(value, date, now);
  if (parsed) CHECK(*parsed > 0s);
  return parsed.value_or(0s).count();
}

}  // namespace

TEST_CASE("each form of Retry-After") {
  struct Row {
    std::string_view value;
    std::int64_t seconds;
  };
  for (const auto& [value, seconds] : {Row{"120", 120},
                                       {"1", 1},
                                       {" 7 \t", 7},
                                       {"0007", 7},
                                       {"86400", 86400},
                                       {"86401", 86400},
                                       {"18446744073709551616", 86400},
                                       {"99999999999999999999", 86400},
                                       {"Fri, 20 Nov 2026 13:00:30 GMT", 30},
                                       {"Friday, 20-Nov-26 13:00:30 GMT", 30},
                                       {"Fri Nov 20 13:00:30 2026", 30},
                                       {"Fri, 20 Nov 2026 13:00:60 GMT", 59},
                                       {"Sun, 22 Nov 2026 13:00:00 GMT", 86400},
                                       {"Fri, 31 Dec 9999 23:59:59 GMT", 86400},
                                       // Nothing to take:
                                       {"0", 0},
                                       {"000", 0},
                                       {"", 0},
                                       {"  ", 0},
                                       {"-1", 0},
                                       {"-3600", 0},
                                       {"+5", 0},
                                       {"1.5", 0},
                                       {"1,5", 0},
                                       {"10, 20", 0},
                                       {"10s", 0},
                                       {"0x10", 0},
                                       {"1e3", 0},
                                       {"soon", 0},
                                       {std::string_view("1\0", 2), 0},
                                       {"Fri, 20 Nov 2026 13:00:00 GMT", 0},
                                       {"Fri, 20 Nov 2026 12:00:00 GMT", 0},
                                       {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                                       {"Fri, 20 Nov 2026 13:00:30", 0},
                                       {"Fri, 20 Nov 2026 13:00:30 UTC", 0},
                                       {"Fri, 20 Nov 2026 13:00:30 GMT ,", 0},
                                       {"Fri, 20 Nov 2026 24:00:30 GMT", 0},
                                       {"Fri, 20 Nov 2026 13:60:30 GMT", 0},
                                       {"Fri, 20 Nov 2026 13:00:61 GMT", 0},
                                       {"Fri, 31 Nov 2026 13:00:30 GMT", 0},
                                       {"Fri, 00 Nov 2026 13:00:30 GMT", 0},
                                       {"Fri, 20 nov 2026 13:00:30 GMT", 0},
                                       {"Fry, 20 Nov 2026 13:00:30 GMT", 0},
                                       {"Friday, 20 Nov 2026 13:00:30 GMT", 0},
                                       {"2026-11-20T13:00:30Z", 0}}) {
    INFO(value);
    CHECK(wait(value) == seconds);
  }
}

TEST_CASE("a date counts from the answer's own, whatever the clock here says") {
  constexpr std::string_view kUntil = "Fri, 20 Nov 2026 13:00:30 GMT";
  for (const WallTime now : {WallTime{}, kNow, kNow + 24h * 366 * 40}) CHECK(wait(kUntil, kDate, now) == 30);
  CHECK(wait(kUntil, "", kNow) == 30);
  CHECK(wait(kUntil, "garbage", kNow + 10s) == 20);
  CHECK(wait(kUntil, "", kNow + 1h) == 0);
  CHECK(wait(kUntil, "", WallTime{}) == 86400);
}

TEST_CASE("a date that is cut anywhere is none") {
  for (const std::string_view whole :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    const auto parsed = parse_http_date(whole, std::chrono::sys_days(1995y / 1 / 1));
    REQUIRE(parsed.has_value());
    CHECK(parsed->time_since_epoch() == 784111777s);  // the example of RFC 9110 section 5.6.7
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(parse_http_date(whole.substr(0, size), kNow));
  }
  CHECK(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT", kNow).has_value());
  CHECK_FALSE(parse_http_date("Thu, 29 Feb 2023 00:00:00 GMT", kNow).has_value());
}

TEST_CASE("two digits of a year mean the year that is nearest") {
  const auto year = [](std::string_view digits) {
    const auto parsed = parse_http_date(fmt::format("Sunday, 06-Nov-{} 08:49:37 GMT", digits), kNow);
    REQUIRE(parsed.has_value());
    return static_cast<int>(std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(*parsed)).year());
  };
  CHECK(year("26") == 2026);
  CHECK(year("00") == 2000);
  CHECK(year("76") == 2076);
  CHECK(year("77") == 1977);
}
