// SPDX-License-Identifier: MIT
#include "io/loop.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::io {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
         action.sa_handler == SIG_IGN;
}

// Rounded up, so that a deadline has passed when poll returns because of it.
int poll_timeout_ms(std::optional<MonotonicTime> deadline) {
  if (!deadline) return -1;
  const MonotonicTime now = monotonic_now();
  if (*deadline <= now) return 0;  // also one so long ago that the difference has no room
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
}

}  // namespace

Result<Loop> Loop::create(std::chrono::nanoseconds stop_timeout, bool reports, bool reloads) {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!is_ignored(signal)) sigaddset(&wanted, signal);
  }
  if (reports) sigaddset(&wanted, SIGUSR1);
  if (sigprocmask(SIG_BLOCK, &wanted, nullptr) != 0) return tl::make_unexpected(system_error("sigprocmask", errno));
  Descriptor signals(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return tl::make_unexpected(system_error("signalfd", errno));
  return Loop(std::move(signals), stop_timeout, reloads);
}

Loop::Loop(Descriptor signals, std::chrono::nanoseconds stop_timeout, bool reloads)
    : signals_(std::move(signals)), stop_timeout_(stop_timeout), reloads_(reloads) {}

void Loop::watch(int fd, short events) {
  if (fd >= 0) watched_.push_back({.fd = fd, .events = events, .revents = 0});
}

Result<void> Loop::wait(std::optional<MonotonicTime> deadline) {
  if (stop_signal_) deadline = deadline ? std::min(*deadline, stop_deadline_) : stop_deadline_;
  polled_.swap(watched_);
  watched_.clear();
  polled_.push_back({.fd = signals_.get(), .events = POLLIN, .revents = 0});
  int count = 0;
  do {
    count = ::poll(polled_.data(), polled_.size(), poll_timeout_ms(deadline));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return tl::make_unexpected(system_error("poll", errno));
  if (polled_.back().revents != 0) take_signals();
  polled_.pop_back();
  if (stop_signal_ && monotonic_now() >= stop_deadline_) {
    return fail(ErrorCode::kUnavailable, fmt::format("stopping took longer than {}", print_duration(stop_timeout_)),
                "--stop-timeout");
  }
  return {};
}

bool Loop::ready(int fd, short events) const {
  return std::any_of(polled_.begin(), polled_.end(), [&](const pollfd& p) {
    return p.fd == fd && (p.revents & (events | POLLERR | POLLHUP | POLLNVAL)) != 0;
  });
}

bool Loop::take_report_request() { return std::exchange(report_requested_, false); }

bool Loop::take_reload_request() { return std::exchange(reload_requested_, false); }

void Loop::take_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGUSR1) {
      report_requested_ = true;
      continue;
    }
    if (signal == SIGHUP && reloads_) {
      reload_requested_ = true;
      continue;
    }
    if (stop_signal_) continue;
    stop_signal_ = signal;
    stop_deadline_ = monotonic_now() + stop_timeout_;
    sigset_t impatient;
    sigemptyset(&impatient);
    sigaddset(&impatient, SIGINT);
    sigaddset(&impatient, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &impatient, nullptr);
  }
}

}  // namespace fieldpipe::io
