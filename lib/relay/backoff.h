// SPDX-License-Identifier: MIT
// How long to wait after a failure: full jitter below a limit that doubles.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "memfault/upload.h"

namespace fieldpipe::relay {

// Failures that pass by themselves, or when someone puts something right: the verdicts for which one waits.
using memfault::Verdict;
inline constexpr std::array kFailures{Verdict::kNetwork, Verdict::kServer, Verdict::kRate, Verdict::kCredential,
                                      Verdict::kEndpoint};

// No pause is longer, whatever a server says or a file holds.
inline constexpr std::chrono::hours kLongestPause{24};

struct Backoff {
  using Duration = std::chrono::nanoseconds;

  Duration base{std::chrono::seconds(1)};  // scales every base and floor below
  std::optional<Duration> most;            // bounds every wait; without it each class has its own limit

  // The wait after a failure that `failures` others of its class came before, in a row. `random` is from [0, 1): the
  // wait is evenly anywhere between the floor of the class and a limit that doubles, so that those who failed together
  // do not come back together. `slow` is for a server that has an error of its own (500).
  [[nodiscard]] constexpr Duration wait(Verdict failure, bool slow, unsigned failures, double random) const {
    const Figures figures = figures_of(failure);
    const double limit = std::min(static_cast<double>(Duration(figures.most).count()),
                                  static_cast<double>(most.value_or(Duration::max()).count()));
    const double unit = static_cast<double>(base.count());
    // Half of the limit at most, so that something is left to chance.
    const double floor = std::min((slow ? 60.0 : figures.floor) * unit, limit / 2);
    const double doubled = figures.base * unit * static_cast<double>(std::uint64_t{1} << std::min(failures, 40U));
    const double highest = std::max(std::min(limit, doubled), 2 * floor);
    return Duration(static_cast<Duration::rep>(floor + random * (highest - floor)));
  }

  // The wait where a server gave one itself: never shorter than `own`, which wait() gave, never longer than a day, and
  // up to a tenth more by chance.
  [[nodiscard]] static constexpr Duration told(Duration told, Duration own, double random) {
    constexpr Duration kMostSpread{std::chrono::seconds(30)};
    const Duration clamped = std::max(own, std::min<Duration>(told, kLongestPause));
    return clamped + Duration(static_cast<Duration::rep>(
                         random * static_cast<double>(std::min<Duration>(clamped / 10, kMostSpread).count())));
  }

  // How many times longer than a base of a second `base` makes things.
  [[nodiscard]] constexpr Duration scaled(std::chrono::seconds time) const {
    return Duration(static_cast<Duration::rep>(static_cast<double>(base.count()) * static_cast<double>(time.count())));
  }

 private:
  // Base and floor in units of `base`. A network in which nobody answers is not hurt by trying often; a server under
  // load is.
  struct Figures {
    int base;
    std::chrono::seconds most;
    double floor;
  };
  static constexpr Figures figures_of(Verdict failure) {
    switch (failure) {
      case Verdict::kServer:
      case Verdict::kRate: return {10, std::chrono::seconds(3600), 1};
      case Verdict::kCredential:
      case Verdict::kEndpoint: return {30, std::chrono::seconds(900), 10};
      default: return {1, std::chrono::seconds(300), 0.25};
    }
  }
};

}  // namespace fieldpipe::relay
