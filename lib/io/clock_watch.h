// SPDX-License-Identifier: MIT
// Noticing that somebody set the time of day.
#pragma once

#include <cstdint>

#include "io/descriptor.h"
#include "io/loop.h"

namespace fieldpipe::io {

// A timer of the system that is cancelled when the clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Nothing
// waits by that clock; but a clock that was wrong makes certificates invalid, and right again it is time to try again.
// Since Linux 5.15 the end of a suspension counts as well (kernel/time/timekeeping.c, timekeeping_resume), so what
// waits by the monotonic clock, which stands still meanwhile, is tried then. Where the system has no such timer,
// nothing is noticed.
class ClockWatch {
 public:
  ClockWatch();

  void watch(Loop& loop) const;

  // Whether the clock was set since the last call.
  bool turn(const Loop& loop);

  // How often.
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

 private:
  void arm();

  Descriptor timer_;
  std::uint64_t steps_ = 0;
};

}  // namespace fieldpipe::io
