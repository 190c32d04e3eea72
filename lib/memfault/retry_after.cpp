// SPDX-License-Identifier: MIT
#include "memfault/retry_after.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/text.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::array<std::string_view, 7> kDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool all_digits(std::string_view text) { return text.find_first_not_of("0123456789") == std::string_view::npos; }

// Reads what the forms are made of, each from the front; after the first that does not fit all fail.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool word(std::string_view word) {
    if (good_ && rest_.starts_with(word)) return rest_.remove_prefix(word.size()), true;
    return good_ = false;
  }

  // A number of exactly `digits` digits; a blank may stand for a leading zero if `padded`.
  unsigned number(std::size_t digits, bool padded = false) {
    std::string_view field = rest_.substr(0, digits);
    if (padded && field.starts_with(' ')) field.remove_prefix(1);
    const auto value = all_digits(field) ? parse_integer<unsigned>(field) : std::nullopt;
    good_ = good_ && rest_.size() >= digits && value.has_value();
    if (good_) rest_.remove_prefix(digits);
    return value.value_or(0);
  }

  unsigned month() {
    const auto found = std::find(kMonths.begin(), kMonths.end(), rest_.substr(0, 3));
    good_ = good_ && found != kMonths.end();
    if (good_) rest_.remove_prefix(3);
    return static_cast<unsigned>(found - kMonths.begin()) + 1;
  }

  // hh:mm:ss; a leap second counts as the one before it.
  std::chrono::seconds time() {
    const unsigned hours = number(2);
    word(":");
    const unsigned minutes = number(2);
    word(":");
    const unsigned seconds = number(2);
    good_ = good_ && hours < 24 && minutes < 60 && seconds <= 60;
    return std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(std::min(seconds, 59U));
  }

  [[nodiscard]] bool finished() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

// The year that ends in these two digits and is less than 50 years ahead (RFC 9110 section 5.6.7).
int whole_year(unsigned two_digits, WallTime now) {
  const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
  const int this_year = static_cast<int>(today.year());
  const int year = this_year - this_year % 100 + static_cast<int>(two_digits);
  if (year > this_year + 50) return year - 100;
  return year <= this_year - 50 ? year + 100 : year;
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text, WallTime now) {
  const auto day = std::find_if(kDays.begin(), kDays.end(),
                                [&](std::string_view name) { return text.starts_with(name.substr(0, 3)); });
  if (day == kDays.end()) return std::nullopt;
  const bool long_day = text.starts_with(*day);
  Reader reader(text.substr(long_day ? day->size() : 3));
  unsigned month = 0;
  unsigned day_of_month = 0;
  int year = 0;
  std::chrono::seconds time{};
  if (long_day) {
    reader.word(", ");
    day_of_month = reader.number(2);
    reader.word("-");
    month = reader.month();
    reader.word("-");
    year = whole_year(reader.number(2), now);
    reader.word(" ");
    time = reader.time();
    reader.word(" GMT");
  } else if (text.substr(3).starts_with(',')) {
    reader.word(", ");
    day_of_month = reader.number(2);
    reader.word(" ");
    month = reader.month();
    reader.word(" ");
    year = static_cast<int>(reader.number(4));
    reader.word(" ");
    time = reader.time();
    reader.word(" GMT");
  } else {
    reader.word(" ");
    month = reader.month();
    reader.word(" ");
    day_of_month = reader.number(2, true);
    reader.word(" ");
    time = reader.time();
    reader.word(" ");
    year = static_cast<int>(reader.number(4));
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day_of_month)};
  if (!reader.finished() || !date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + time;
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, std::string_view date, WallTime now) {
  value = trimmed(value);
  if (value.empty()) return std::nullopt;
  if (all_digits(value)) {
    value.remove_prefix(std::min(value.find_first_not_of('0'), value.size()));
    if (value.empty()) return std::nullopt;
    // What does not fit is more than the most, too.
    const auto seconds = parse_integer<std::int64_t>(value).value_or(kMostRetryAfter.count());
    return std::min(std::chrono::seconds(seconds), kMostRetryAfter);
  }
  const auto until = parse_http_date(value, now);
  if (!until) return std::nullopt;
  const auto from = parse_http_date(trimmed(date), now).value_or(std::chrono::floor<std::chrono::seconds>(now));
  if (*until <= from) return std::nullopt;
  return std::min(*until - from, kMostRetryAfter);
}

}  // namespace fieldpipe::memfault
