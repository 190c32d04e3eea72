// SPDX-License-Identifier: MIT
#include "cli/report.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::cli {
namespace {

// Strongest first.
constexpr std::array kPrecedence{ExitStatus::kBug,     ExitStatus::kUsage,       ExitStatus::kIo,
                                 ExitStatus::kConfig,  ExitStatus::kNoInput,     ExitStatus::kDenied,
                                 ExitStatus::kRefused, ExitStatus::kUnavailable, ExitStatus::kBadData,
                                 ExitStatus::kPartial, ExitStatus::kOk};

ExitStatus status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage: return ExitStatus::kUsage;
    case ErrorCode::kBadData: return ExitStatus::kBadData;
    case ErrorCode::kNoInput: return ExitStatus::kNoInput;
    case ErrorCode::kRefused: return ExitStatus::kRefused;
    case ErrorCode::kBug: return ExitStatus::kBug;
    case ErrorCode::kIo: return ExitStatus::kIo;
    case ErrorCode::kUnavailable: return ExitStatus::kUnavailable;
    case ErrorCode::kDenied: return ExitStatus::kDenied;
    case ErrorCode::kConfig: return ExitStatus::kConfig;
    case ErrorCode::kReaderGone: break;  // a signal, not a status
  }
  return ExitStatus::kOk;
}

[[noreturn]] void die_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  std::raise(signal);
  // Only reached when the signal cannot kill us, as for process 1 of a container.
  _exit(128 + signal);
}

}  // namespace

Report::Report(std::string tool) : tool_(std::move(tool)), shows_progress_(::isatty(STDERR_FILENO) != 0) {}

void Report::fail(const Error& error) {
  if (error.code == ErrorCode::kReaderGone) {
    if (!signal_) signal_ = SIGPIPE;
    return;
  }
  remember(status_of(error.code));
  print(error.offset ? fmt::format("{}: at byte {}", error.what, *error.offset) : error.what);
  if (!error.hint.empty()) print(fmt::format("hint: {}", error.hint));
}

void Report::partial(std::string_view what) {
  remember(ExitStatus::kPartial);
  print(what);
}

void Report::warn(std::string_view what) {
  if (!quiet_) print(what);
}

void Report::say(std::string_view what) {
  if (verbose_) print(what);
}

void Report::progress(std::string_view what) {
  const MonotonicTime now = monotonic_now();
  if (!shows_progress() || now < next_progress_) return;
  next_progress_ = now + kProgressInterval;
  progress_shown_ = true;
  // Back to the first column, and what is left of the line before is erased (ECMA-48, EL).
  const std::string line = fmt::format("\r{}: {}\x1b[K", tool_, printable(what));
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void Report::clear_progress() {
  if (!std::exchange(progress_shown_, false)) return;
  constexpr std::string_view kClear = "\r\x1b[K";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kClear.data(), kClear.size());
}

int Report::finish() {
  clear_progress();
  if (signal_) die_by(*signal_);
  return static_cast<int>(status_);
}

void Report::statistics(std::string_view json) { write_line(fmt::format("{}\n", json)); }

// Names of files and what a far side sent are made harmless here, for all messages.
void Report::print(std::string_view text) {
  write_line(fmt::format("{}: {}\n", tool_, printable(text, std::string_view::npos)));
}

// One write a line, so that the lines of a pipeline's tools do not mix. A stderr that cannot be written leaves nobody
// to tell.
void Report::write_line(const std::string& line) {
  clear_progress();
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void Report::remember(ExitStatus status) {
  const auto rank = [](ExitStatus s) { return std::find(kPrecedence.begin(), kPrecedence.end(), s); };
  if (rank(status) < rank(status_)) status_ = status;
}

}  // namespace fieldpipe::cli
