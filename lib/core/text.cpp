// SPDX-License-Identifier: MIT
#include "core/text.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace fieldpipe {
namespace {

using std::chrono::nanoseconds;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first, so that printing takes the first that fits.
constexpr std::array<Unit, 6> kDurations{{{"d", 86'400'000'000'000},
                                          {"h", 3'600'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"s", 1'000'000'000},
                                          {"ms", 1'000'000},
                                          {"us", 1'000}}};
constexpr std::array<Unit, 7> kSizes{{{"GiB", std::uint64_t{1} << 30U},
                                      {"GB", 1'000'000'000},
                                      {"MiB", std::uint64_t{1} << 20U},
                                      {"MB", 1'000'000},
                                      {"KiB", 1024},
                                      {"kB", 1000},
                                      {"B", 1}}};

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::size_t count_digits(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  return n;
}

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i) { return i < text.size() && (at(i) & 0xC0U) == 0x80U; };
  const unsigned first = at(0);
  if (first < 0x80U) return 1;
  if (first >= 0xC2U && first <= 0xDFU) return continues(1) ? 2 : 0;
  if (first >= 0xE0U && first <= 0xEFU) {
    if (!continues(1) || !continues(2)) return 0;
    const bool overlong = first == 0xE0U && at(1) < 0xA0U;
    const bool surrogate = first == 0xEDU && at(1) >= 0xA0U;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0U && first <= 0xF4U) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    const bool overlong = first == 0xF0U && at(1) < 0x90U;
    const bool above = first == 0xF4U && at(1) >= 0x90U;
    return overlong || above ? 0 : 4;
  }
  return 0;
}

}  // namespace

Result<nanoseconds> parse_duration(std::string_view text, std::string_view bare_unit) {
  const auto refused = [&] {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not a duration", printable(text)),
                bare_unit.empty() ? "a number and us, ms, s, m, h or d: 500ms, 2s, 5m"
                                  : "a number of seconds, or with a unit: 500ms, 2s, 5m");
  };
  const std::size_t whole_digits = count_digits(text);
  if (whole_digits == 0) return refused();
  const auto whole = parse_integer<std::uint64_t>(text.substr(0, whole_digits));
  std::string_view rest = text.substr(whole_digits);
  std::string_view fraction;
  if (rest.starts_with('.')) {
    fraction = rest.substr(1, count_digits(rest.substr(1)));
    if (fraction.empty()) return refused();
    rest.remove_prefix(1 + fraction.size());
  }
  if (rest.empty()) rest = !bare_unit.empty() ? bare_unit : (whole == 0 && fraction.empty()) ? "s" : "";
  const Unit* unit = find_unit(kDurations, rest);
  if (unit == nullptr) return refused();
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!whole || *whole >= kMost / unit->factor) {
    return fail(ErrorCode::kUsage, fmt::format("duration {} is too long, at most 292 years", printable(text)));
  }
  std::uint64_t ns = *whole * unit->factor;
  std::uint64_t place = unit->factor;
  for (const char digit : fraction) {
    place /= 10;
    ns += static_cast<std::uint64_t>(digit - '0') * place;
  }
  return nanoseconds(static_cast<std::int64_t>(ns));
}

std::string print_duration(nanoseconds value) {
  const auto ns = static_cast<std::uint64_t>(value.count());
  if (ns == 0) return "0s";
  for (const Unit& unit : kDurations) {
    if (ns % unit.factor == 0) return fmt::format("{}{}", ns / unit.factor, unit.name);
  }
  return fmt::format("{}ns", ns);
}

Result<WallTime> parse_wall_time(std::string_view text) {
  const auto refused = [&] {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not a time of day", printable(text)),
                "seconds since 1970, or UTC as 2023-11-14T22:13:20Z");
  };
  // What is in front of the fraction, and the fraction with its point.
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string_view whole = text.substr(0, point);
  std::string_view fraction = text.substr(point);
  constexpr std::string_view kPattern = "0000-00-00T00:00:00";
  const bool calendar = text.ends_with('Z');
  if (calendar) (fraction.empty() ? whole : fraction).remove_suffix(1);
  auto since_whole = parse_duration(fraction.empty() ? "0" : fmt::format("0{}s", fraction));
  if (!since_whole) return refused();
  if (!calendar) {
    auto since_epoch = parse_duration(whole, "s");
    if (!since_epoch || count_digits(whole) != whole.size()) return refused();
    return WallTime(*since_epoch + *since_whole);
  }
  const auto number = [&](std::size_t from, std::size_t digits) {
    return parse_integer<int>(whole.substr(from, digits)).value_or(-1);
  };
  if (whole.size() != kPattern.size()) return refused();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (kPattern[i] == '0' ? whole[i] < '0' || whole[i] > '9' : whole[i] != kPattern[i]) return refused();
  }
  using namespace std::chrono;
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2))));
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (!date.ok() || number(0, 4) < 1970 || number(0, 4) > 2261 || hour > 23 || minute > 59 || second > 59)
    return refused();
  return WallTime(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) + *since_whole;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t digits = count_digits(text);
  const auto number = parse_integer<std::uint64_t>(text.substr(0, digits));
  std::string_view name = text.substr(digits);
  if (name.empty()) name = "B";
  if (name == "KB") name = "kB";
  const Unit* unit = find_unit(kSizes, name);
  if (!number || unit == nullptr) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not a size", printable(text)),
                "a number of bytes, perhaps with kB, MB, GB, KiB, MiB or GiB: 64KiB");
  }
  if (*number > std::numeric_limits<std::uint64_t>::max() / unit->factor) {
    return fail(ErrorCode::kUsage, fmt::format("size {} is too large", printable(text)));
  }
  return *number * unit->factor;
}

std::string print_size(std::uint64_t bytes) {
  for (const Unit& unit : kSizes) {
    if (bytes >= unit.factor && bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
  }
  return "0B";
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    // Text is mostly ASCII: eight bytes at a time while no byte has its top bit set.
    while (i + 8 <= text.size()) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data() + i, sizeof(word));
      if ((word & 0x8080808080808080U) != 0) break;
      i += 8;
    }
    if (i == text.size()) break;
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

std::string printable(std::string_view text, std::size_t limit_bytes) {
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    if (out.size() >= limit_bytes) return out + "...";
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = utf8_length(text.substr(i));
    // U+0080 to U+009F are control characters too.
    const bool control = byte < 0x20U || byte == 0x7FU ||
                         (length == 2 && byte == 0xC2U && static_cast<unsigned char>(text[i + 1]) < 0xA0U);
    if (length == 0 || control) {
      switch (byte) {
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        default: out += fmt::format("\\x{:02x}", byte);
      }
      ++i;
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace fieldpipe
