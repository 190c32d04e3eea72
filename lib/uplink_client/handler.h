// SPDX-License-Identifier: MIT
// A command that handles one action: a child process in the loop.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"
#include "io/loop.h"
#include "record/lines.h"
#include "uplink/action.h"

namespace fieldpipe::uplink_client {

// Runs `/bin/sh -c COMMAND` in a process group of its own, with the action's payload on its stdin and ACTION_ID and
// ACTION_NAME in its environment. Its end is seen through a pidfd (pidfd_open(2), Linux 5.3).
class Handler {
 public:
  static constexpr std::chrono::seconds kGrace{2};      // between TERM and KILL
  static constexpr std::size_t kMaxLineBytes = 4096;    // of stdout; a longer line counts up to here
  static constexpr std::size_t kKeptErrorBytes = 2048;  // of the end of stderr

  // Takes a line of stdout, without its LF.
  using Take = std::function<void(std::string_view line)>;

  // Fails with kIo when no process can be started.
  static Result<std::unique_ptr<Handler>> start(const std::string& command, const uplink::Action& action);

  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  ~Handler();  // kills what still runs

  // What to wait for before the next handle(), and when to call it in any case. Without `reads_output` stdout is left
  // in its pipe, which stops the command in time.
  void watch(io::Loop& loop, bool reads_output) const;
  [[nodiscard]] MonotonicTime deadline() const { return kill_at_.value_or(MonotonicTime::max()); }

  // Moves what can be moved without waiting, and sees whether the process has ended.
  void handle(bool reads_output, const Take& take);

  // Asks the process group to end with TERM, and makes it end with KILL when it has not after kGrace.
  void stop();

  [[nodiscard]] bool ended() const { return ended_; }

  // Whether it has ended with status 0.
  [[nodiscard]] bool succeeded() const { return ended_ && code_ == 0 && !signal_; }

  // Why it has not: the last lines of stderr, or else how it ended.
  [[nodiscard]] std::vector<std::string> errors() const;

 private:
  Handler() = default;
  void write_payload();
  void read_output(int most_reads, const Take& take);
  void read_errors(int most_reads);
  void reap();

  int pid_ = -1;
  io::Descriptor process_;
  io::Descriptor stdin_;
  io::Descriptor stdout_;
  io::Descriptor stderr_;
  std::string payload_;
  std::size_t written_ = 0;
  std::string output_;  // a line of stdout that has begun
  record::LineCutter cutter_;
  std::string errors_;  // the end of stderr
  std::optional<MonotonicTime> kill_at_;
  bool ended_ = false;
  bool signal_ = false;  // whether code_ is a signal's number
  int code_ = 0;
};

}  // namespace fieldpipe::uplink_client
