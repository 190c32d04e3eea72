// SPDX-License-Identifier: MIT
#include "relay/pauses.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::relay {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kFirst = "pauses 1 ";

std::string_view take(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

// id failure failures breaker remaining
std::optional<Pause> parse_pause(std::string_view line) {
  const auto id = parse_integer<std::uint64_t>(take(line, ' '), 16);
  const std::string_view name = take(line, ' ');
  const auto failures = parse_integer<unsigned>(take(line, ' '));
  const auto breaker = parse_integer<unsigned>(take(line, ' '));
  const auto remaining = parse_integer<milliseconds::rep>(line);
  const auto failure = std::find_if(kFailures.begin(), kFailures.end(), [&](Verdict v) { return print(v) == name; });
  if (!id || !failures || !breaker || *breaker > 1 || !remaining || failure == kFailures.end()) return std::nullopt;
  const auto bounded = std::clamp(milliseconds(*remaining), milliseconds(0), milliseconds(kLongestPause));
  return Pause{*id, *failure, *failures, *breaker == 1, bounded};
}

}  // namespace

std::string print_pauses(const std::vector<Pause>& pauses, WallTime now) {
  std::string text = fmt::format("{}{}\n", kFirst, now.time_since_epoch().count());
  for (std::size_t i = 0; i < std::min(pauses.size(), kMostPauses); ++i) {
    const Pause& pause = pauses[i];
    fmt::format_to(std::back_inserter(text), "{:016x} {} {} {} {}\n", pause.id, print(pause.failure), pause.failures,
                   pause.breaker ? 1 : 0, std::chrono::ceil<milliseconds>(pause.remaining).count());
  }
  return text;
}

std::vector<Pause> parse_pauses(std::string_view text, WallTime now) {
  std::vector<Pause> pauses;
  std::string_view first = take(text, '\n');
  if (!first.starts_with(kFirst)) return pauses;
  const auto written = parse_integer<WallTime::rep>(first.substr(kFirst.size()));
  if (!written) return pauses;
  // Of two times that cannot be trusted, the difference may not even fit.
  const auto then = static_cast<double>(*written);
  const auto passed = std::clamp(static_cast<double>(now.time_since_epoch().count()) - then, 0.0,
                                 static_cast<double>(std::chrono::nanoseconds(kLongestPause).count()));
  while (!text.empty() && pauses.size() < kMostPauses) {
    if (auto pause = parse_pause(take(text, '\n'))) {
      pause->remaining -= std::chrono::nanoseconds(static_cast<std::int64_t>(passed));
      pause->remaining = std::max(pause->remaining, std::chrono::nanoseconds(0));
      pauses.push_back(*pause);
    }
  }
  return pauses;
}

}  // namespace fieldpipe::relay
