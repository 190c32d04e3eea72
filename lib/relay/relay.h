// SPDX-License-Identifier: MIT
// A relay at work: a source, the door into the spool and the uploader out of it, in one loop.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/output.h"
#include "io/service_manager.h"
#include "relay/door.h"
#include "relay/notice.h"
#include "relay/source.h"
#include "relay/uploader.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace fieldpipe::relay {

struct RelaySettings {
  std::chrono::nanoseconds drain_timeout = std::chrono::minutes(5);  // from the end of the input
  std::string metrics_file;                                          // empty: none
  std::function<Result<void>()> reload;                              // on HUP
};

// What a relay works with; all of it outlives the relay.
struct RelayParts {
  spool::Spool& spool;
  spool::DeadLetters& dead_letters;
  Source& source;
  Door& door;
  Uploader& uploader;
  io::Output& out;
  cli::Report& report;
};

class Relay {
 public:
  Relay(RelayParts parts, RelaySettings settings);

  // Takes in and delivers until the input has ended and all is delivered or --drain-timeout has passed, or until a stop
  // signal came and what is on its way has been answered. Reports what of the input failed, and what remains. Fails
  // with kReaderGone and kIo for stdout.
  Result<void> run(io::Loop& loop);

 private:
  enum class Phase : std::uint8_t { kTaking, kDraining, kStopping, kDone };

  Result<void> turn(io::Loop& loop);
  [[nodiscard]] MonotonicTime wake(const io::Loop& loop) const;
  [[nodiscard]] bool takes(const io::Loop& loop) const {
    return to_.out.buffer().size() < Uploader::kMostUnreadBytes || loop.stop_signal();
  }
  void take_in(io::Loop& loop);
  void tell_blocked();
  void end_input(io::Loop& loop, std::optional<Error> error);
  void answer_signals(io::Loop& loop);
  void begin_stop(const io::Loop& loop);
  void tell();
  void write_metrics();
  [[nodiscard]] bool delivered() const;
  [[nodiscard]] Metrics metrics() const;
  [[nodiscard]] std::string status() const;
  void conclude(const io::Loop& loop);

  RelayParts to_;
  RelaySettings settings_;
  io::ServiceManager manager_;
  Phase phase_ = Phase::kTaking;
  bool more_ = false;                        // the source had more when last asked
  std::optional<Error> input_error_;         // why the input ended before its end
  std::optional<MonotonicTime> drain_ends_;  // once the input has ended
  MonotonicTime stop_ends_{};                // of kStopping, while there is time for last words
  std::uint64_t given_up_before_;            // dropped and damaged records of earlier runs
  MonotonicTime next_commit_{};              // while the door is blocked
  bool was_blocked_ = false;
  bool told_blocked_ = false;
  Notice blocked_notice_;
  MonotonicTime next_metrics_{};
  MonotonicTime next_status_{};
  std::uint64_t metrics_failures_ = 0;
  WallTime started_ = wall_now();
};

}  // namespace fieldpipe::relay
