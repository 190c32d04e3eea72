// SPDX-License-Identifier: MIT
// The one place that waits: descriptors, a deadline on the monotonic clock, and signals.
#pragma once

#include <poll.h>

#include <chrono>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::io {

// A turn is: say what to wait for (watch), wait, ask what is ready. There are no callbacks and no
// registrations that outlive a turn, so nothing can be stale.
//
// While a Loop exists, INT, TERM and HUP are blocked and arrive through a signalfd; a signal that was
// ignored when the process started (nohup, a background job) stays ignored. After the first of them
// the process is stopping: every wait is bounded by the stop time limit, and a second INT or TERM has
// its default action, which ends the process at once.
class Loop {
 public:
  // `stop_timeout` bounds all waiting after the first INT, TERM or HUP. `reports` also takes USR1. With `reloads` HUP
  // does not stop the process: it asks a service to read its files again.
  static Result<Loop> create(std::chrono::nanoseconds stop_timeout, bool reports = false, bool reloads = false);

  // Waits for `events` (POLLIN, POLLOUT) of `fd` in the next turn. May be called again for the same
  // descriptor. Negative descriptors are ignored.
  void watch(int fd, short events);

  // Waits until a watched descriptor is ready, a signal arrives or `deadline` passes; without a
  // deadline, as long as it takes. A deadline in the past makes it a mere look. What was watched is
  // forgotten afterwards. Fails with kIo when the system's poll does, and with kUnavailable when the
  // stop time limit is over.
  Result<void> wait(std::optional<MonotonicTime> deadline);

  // Whether the last wait found one of `events`, or an error or hang-up, on `fd`.
  [[nodiscard]] bool ready(int fd, short events) const;

  // The signal that asked the process to stop, if any has.
  [[nodiscard]] std::optional<int> stop_signal() const { return stop_signal_; }

  // When waiting ends for good; means something only after a stop signal.
  [[nodiscard]] MonotonicTime stop_deadline() const { return stop_deadline_; }

  // Whether USR1 has arrived since the last call.
  bool take_report_request();

  // Whether HUP has asked to reload since the last call.
  bool take_reload_request();

 private:
  Loop(Descriptor signals, std::chrono::nanoseconds stop_timeout, bool reloads);
  void take_signals();

  Descriptor signals_;
  std::chrono::nanoseconds stop_timeout_;
  std::optional<int> stop_signal_;
  MonotonicTime stop_deadline_{};
  bool reloads_;
  bool report_requested_ = false;
  bool reload_requested_ = false;
  std::vector<pollfd> watched_;
  std::vector<pollfd> polled_;
};

}  // namespace fieldpipe::io
