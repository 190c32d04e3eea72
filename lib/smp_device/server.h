// SPDX-License-Identifier: MIT
// A device on a link: requests to it, answers back, and what goes wrong on purpose.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/output.h"
#include "smp_device/device.h"
#include "smp_device/line.h"
#include "smp_device/link.h"

namespace fieldpipe::smp_device {

struct ServerSettings {
  Faults faults;
  std::optional<std::uint64_t> restart_after;  // requests, before the answer to the last one: the device restarts
  std::optional<std::uint64_t> cut_after;      // the same: the link is cut, for as long as a start takes
  bool reenumerates = false;                   // the port goes while the device starts, as that of USB does
  bool traces = false;                         // requests and answers as lines
};

class Server {
 public:
  Server(Profile profile, const ServerSettings& settings, std::unique_ptr<Link> link, io::Output& out,
         cli::Report& report);

  // Serves until a stop signal. Fails where the link or the output does.
  Result<void> run(io::Loop& loop);

 private:
  Result<void> take_requests(MonotonicTime now);
  void serve(Parcel request, MonotonicTime now);
  void send_answers(MonotonicTime now);
  Result<void> follow_device(MonotonicTime now);
  void cut(MonotonicTime until);
  void trace(std::string_view direction, std::string_view packet);
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  std::chrono::nanoseconds boot_time_;
  std::size_t places_;  // for requests that wait
  ServerSettings settings_;
  std::unique_ptr<Link> link_;
  io::Output& out_;
  cli::Report& report_;
  Device device_;
  Line requests_;
  Line answers_;
  std::deque<MonotonicTime> waiting_;  // requests in buffers, by the time at which their answer leaves
  std::uint64_t count_ = 0;            // of requests
  std::uint64_t starts_ = 0;           // of the device, that were told
  std::optional<MonotonicTime> cut_until_;
  bool was_running_ = true;
};

}  // namespace fieldpipe::smp_device
