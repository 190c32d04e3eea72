// SPDX-License-Identifier: MIT
// How long to wait before the next attempt to connect.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace fieldpipe {

// The most is short, because who is away loses something: a broker queues little for one that does not come back.
inline constexpr std::chrono::milliseconds kBackoffBase{1000};
inline constexpr std::chrono::milliseconds kBackoffMost{30000};
inline constexpr std::chrono::milliseconds kBackoffLeast{250};

// The delay before attempt `failures` + 1, where `failures` counts those in a row. `random` is from
// [0, 1): the delay is anywhere between the least and a limit that doubles with each failure (full jitter),
// so that the clients of a broker that restarts do not come back in step.
constexpr std::chrono::milliseconds backoff(unsigned failures, double random) {
  // 2^5 seconds is above the most already; the bound keeps the shift from overflowing.
  const auto limit = std::min(kBackoffMost, kBackoffBase * (1U << std::min(failures, 5U)));
  return kBackoffLeast + std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(
                             random * static_cast<double>((limit - kBackoffLeast).count())));
}

// A number from [0, 1) that no other process has: from the system's generator, never from time or process id.
inline double random_fraction() {
  std::random_device source;
  return static_cast<double>(source()) / (static_cast<double>(std::random_device::max()) + 1.0);
}

}  // namespace fieldpipe
