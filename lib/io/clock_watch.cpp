// SPDX-License-Identifier: MIT
#include "io/clock_watch.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>

namespace fieldpipe::io {

ClockWatch::ClockWatch() : timer_(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)) { arm(); }

// For a time that never comes.
void ClockWatch::arm() {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0) timer_ = {};
}

void ClockWatch::watch(Loop& loop) const { loop.watch(timer_.get(), POLLIN); }

bool ClockWatch::turn(const Loop& loop) {
  if (!timer_ || !loop.ready(timer_.get(), POLLIN)) return false;
  std::uint64_t expirations = 0;
  const bool set = ::read(timer_.get(), &expirations, sizeof(expirations)) < 0 && errno == ECANCELED;
  arm();
  if (set) ++steps_;
  return set;
}

}  // namespace fieldpipe::io
