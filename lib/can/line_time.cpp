// SPDX-License-Identifier: MIT
#include "can/line_time.h"

namespace fieldpipe::can {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

Result<std::int64_t> LineTime::of_others(const CandumpLine& line, std::int64_t arrival_ns) {
  switch (line.time_base) {
    case TimeBase::kAbsolute: return line.time_ns;
    case TimeBase::kNone: return arrival_ns;
    case TimeBase::kLocal: {
      const std::int64_t second = line.time_ns / kSecond;
      if (local_second_ != second) {
        local_second_ = second;
        utc_second_ = rules_.local_to_utc(second);
      }
      return utc_second_ * kSecond + line.time_ns % kSecond;
    }
    case TimeBase::kRelative: break;
  }
  switch (rules_.relative) {
    case RelativeTimes::kDelta: return sum_ns_ += line.time_ns;
    case RelativeTimes::kZero: return rules_.base_ns.value_or(0) + line.time_ns;
    case RelativeTimes::kRefused: break;
  }
  return fail(ErrorCode::kBadData, "a relative time, and nothing says what it counts from",
              "--times delta (candump -td) or --times zero (candump -tz), with --time-base");
}

}  // namespace fieldpipe::can
