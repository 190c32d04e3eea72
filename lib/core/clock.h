// SPDX-License-Identifier: MIT
// The two clocks, each with a type of its own. Codecs take times as parameters and never call these.
#pragma once

#include <chrono>
#include <cstdint>

namespace fieldpipe {

// Time of day: nanoseconds since 1970-01-01 UTC, leap seconds not counted. May jump.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// For deadlines and delays: never jumps, does not count suspended time.
using MonotonicTime = std::chrono::steady_clock::time_point;

inline WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

inline MonotonicTime monotonic_now() { return std::chrono::steady_clock::now(); }

// A time of day as uplink's and most other JSON has it: whole milliseconds since 1970.
inline std::uint64_t to_unix_ms(WallTime time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace fieldpipe
