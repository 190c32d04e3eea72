// SPDX-License-Identifier: MIT
// What a service tells its service manager: the protocol of sd_notify(3), which is a datagram to a unix socket.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "io/descriptor.h"

namespace fieldpipe::io {

// Tells the service manager that started the process how it is doing. Without one ($NOTIFY_SOCKET is not set) it does
// nothing. Never blocks and never fails: a service manager that does not listen is no reason to stop working.
class ServiceManager {
 public:
  // Reads $NOTIFY_SOCKET, and the watchdog's time limit from $WATCHDOG_USEC and $WATCHDOG_PID (sd_watchdog_enabled(3)).
  static ServiceManager from_environment();

  // READY=1: the service can do its work.
  void ready() { send("READY=1"); }

  // STATUS=: one line about what it is doing. Sent only when it differs from the last one.
  void status(std::string_view text);

  // STOPPING=1: the end has begun.
  void stopping() { send("STOPPING=1"); }

  // Tells the watchdog that the service is alive, if that is due. To be called in each turn of the loop; next() is when
  // it wants to be called again at the latest, far in the future where there is no watchdog.
  void alive();
  [[nodiscard]] MonotonicTime next() const { return next_; }

 private:
  void send(std::string_view text) const;

  Descriptor socket_;
  std::string address_;  // as in sun_path: an abstract one begins with NUL
  std::optional<std::chrono::microseconds> watchdog_;
  MonotonicTime next_ = MonotonicTime::max();
  std::string status_;
};

}  // namespace fieldpipe::io
