// SPDX-License-Identifier: MIT
// What a run tells its user: messages on stderr, and the one exit status they add up to.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"

namespace fieldpipe::cli {

// The exit statuses of every tool (fieldpipe(7), EXIT STATUS; the numbers are those of sysexits.h).
enum class ExitStatus : int {
  kOk = 0,
  kPartial = 1,  // done, but some input was skipped or set aside, or the answer is no
  kUsage = 64,
  kBadData = 65,
  kNoInput = 66,
  kRefused = 69,
  kBug = 70,
  kIo = 74,
  kUnavailable = 75,
  kDenied = 77,
  kConfig = 78,
};

// Collects what went wrong while a tool runs and prints it, one line each, as
// `tool: subject: what: reason`, with `tool: hint: ...` behind where the Error has one.
// When several statuses hold, the one that a caller must act on first wins:
// 70, 64, 74, 78, 66, 77, 69, 75, 65, 1.
class Report {
 public:
  explicit Report(std::string tool);

  void set_quiet(bool quiet) { quiet_ = quiet; }
  void set_verbose(bool verbose) { verbose_ = verbose; }
  [[nodiscard]] bool verbose() const { return verbose_; }

  // Prints `error` and remembers its status. A reader that has gone away prints nothing.
  void fail(const Error& error);

  // Prints `what` and remembers that the run is not all it could have been (status 1). Not silenced
  // by --quiet: the status needs its reason.
  void partial(std::string_view what);

  // Something the user should know that does not change the status. Silenced by --quiet.
  void warn(std::string_view what);

  // What is being done; printed with --verbose only.
  void say(std::string_view what);

  // Figures that the user asked for (USR1): `json` as a line of its own, for programs to read.
  void statistics(std::string_view json);

  // How far a long run is, as a line that the next one replaces. Shown where stderr is a terminal, at most every
  // kProgressInterval, and not with --quiet.
  static constexpr std::chrono::milliseconds kProgressInterval{200};
  void progress(std::string_view what);

  // Whether progress() shows anything.
  [[nodiscard]] bool shows_progress() const { return shows_progress_ && !quiet_; }

  // The run was cut short by this signal (INT, TERM or HUP), and has cleaned up.
  void stopped_by(int signal) { signal_ = signal; }

  // The status so far, without regard to signals.
  [[nodiscard]] ExitStatus status() const { return status_; }

  // The process's exit status. Where a signal or a reader that went away ended the run it does not
  // return: the process dies by that signal, so that shells and service managers see the truth.
  int finish();

 private:
  void print(std::string_view text);
  void write_line(const std::string& line);
  void remember(ExitStatus status);
  void clear_progress();

  std::string tool_;
  bool quiet_ = false;
  bool verbose_ = false;
  bool shows_progress_;
  bool progress_shown_ = false;
  MonotonicTime next_progress_{};
  ExitStatus status_ = ExitStatus::kOk;
  std::optional<int> signal_;
};

}  // namespace fieldpipe::cli
