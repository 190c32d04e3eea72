// SPDX-License-Identifier: MIT
// From the time stamps of candump lines, which count from four different things, to times of day.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "can/candump.h"
#include "core/result.h"

namespace fieldpipe::can {

// What the relative times of a stream count from. One line cannot tell -td from -tz.
enum class RelativeTimes : std::uint8_t {
  kRefused,  // nobody said: an error, because a guess would put frames at the wrong time
  kDelta,    // candump -td: since the line before
  kZero,     // candump -tz: since the first line
};

struct LineTimeRules {
  RelativeTimes relative = RelativeTimes::kRefused;
  std::optional<std::int64_t> base_ns;  // time of day of the first line of a relative stream
  // The time of day, in seconds since 1970, of a calendar time that is given as if it were UTC.
  std::function<std::int64_t(std::int64_t)> local_to_utc;
};

// Gives each frame of a stream its time of day, in nanoseconds since 1970. Every line with a time must
// pass through it, also those of frames that are not kept, because differences add up.
class LineTime {
 public:
  explicit LineTime(LineTimeRules rules) : rules_(std::move(rules)), sum_ns_(rules_.base_ns.value_or(0)) {}

  // The time of `line`; a line without one happened at `arrival_ns`. Fails with kBadData for a relative
  // time under RelativeTimes::kRefused.
  Result<std::int64_t> of(const CandumpLine& line, std::int64_t arrival_ns) {
    if (line.time_base == TimeBase::kAbsolute) return line.time_ns;
    return of_others(line, arrival_ns);
  }

 private:
  Result<std::int64_t> of_others(const CandumpLine& line, std::int64_t arrival_ns);

  LineTimeRules rules_;
  std::int64_t sum_ns_;
  // candump -tA prints many lines of one second; the calendar is asked once for each.
  std::optional<std::int64_t> local_second_;
  std::int64_t utc_second_ = 0;
};

}  // namespace fieldpipe::can
