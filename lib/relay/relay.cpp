// SPDX-License-Identifier: MIT
#include "relay/relay.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/metrics.h"
#include "core/text.h"
#include "io/file.h"
#include "spool/metrics.h"

namespace fieldpipe::relay {
namespace {

constexpr std::chrono::seconds kBetweenMetrics{15};
constexpr std::chrono::seconds kBetweenStatus{1};
// Somebody else may have made room on the disk.
constexpr std::chrono::seconds kBetweenCommits{1};
// Left of the stop time limit when requests on their way are given up.
constexpr std::chrono::milliseconds kLastWords{200};

std::uint64_t given_up(const spool::Spool& spool) {
  const spool::Statistics statistics = spool.statistics();
  return statistics.dropped + statistics.damaged;
}

}  // namespace

Relay::Relay(RelayParts parts, RelaySettings settings)
    : to_(parts),
      settings_(std::move(settings)),
      manager_(io::ServiceManager::from_environment()),
      given_up_before_(given_up(to_.spool)) {}

Result<void> Relay::run(io::Loop& loop) {
  manager_.ready();
  Result<void> ran;
  while (ran && phase_ != Phase::kDone) ran = turn(loop);
  manager_.stopping();
  if (phase_ == Phase::kTaking) end_input(loop, std::nullopt);
  to_.uploader.stop();
  if (auto synced = to_.spool.sync(); !synced) to_.report.warn(fmt::format("spool: {}", synced.error().what));
  write_metrics();
  conclude(loop);
  if (ran) ran = to_.out.flush(loop);
  return ran;
}

Result<void> Relay::turn(io::Loop& loop) {
  if (wake(loop) > monotonic_now() || to_.out.full()) {
    if (auto offered = to_.out.offer(loop); !offered) return offered;
  }
  // A reader that stands still holds up what would tell it more, but not the watchdog and the signals.
  if (phase_ == Phase::kTaking && to_.door.open() && takes(loop)) to_.source.watch(loop);
  to_.uploader.watch(loop);
  loop.watch(to_.out.descriptor(), to_.out.buffer().empty() ? 0 : POLLOUT);
  auto waited = loop.wait(wake(loop));  // what was offered may have changed it
  if (!waited) {
    // The stop time limit; what is on its way stays queued.
    if (waited.error().code != ErrorCode::kUnavailable) return waited;
    phase_ = Phase::kDone;
    return {};
  }
  if (loop.ready(to_.out.descriptor(), 0)) return tl::make_unexpected(io::system_error("stdout", EPIPE));
  manager_.alive();
  answer_signals(loop);
  if (phase_ == Phase::kTaking) take_in(loop);
  to_.uploader.turn(loop);
  tell();

  const MonotonicTime now = monotonic_now();
  if (phase_ == Phase::kDraining && (delivered() || now >= *drain_ends_)) phase_ = Phase::kDone;
  if (phase_ == Phase::kStopping && (to_.uploader.idle() || now >= stop_ends_)) phase_ = Phase::kDone;
  return {};
}

bool Relay::delivered() const { return to_.uploader.idle() && to_.uploader.drain().remaining == 0; }

MonotonicTime Relay::wake(const io::Loop& loop) const {
  MonotonicTime next = std::min(to_.uploader.deadline(), manager_.next());
  if (phase_ == Phase::kTaking) {
    if (to_.door.blocked()) {
      next = std::min(next, next_commit_);
    } else if (to_.door.pending()) {
      // Whatever else is there is taken into the same commit, and what is not there is not waited for.
      return MonotonicTime{};
    } else if (takes(loop)) {
      next = std::min(next, to_.source.deadline().value_or(next));
    }
  }
  if (drain_ends_ && phase_ != Phase::kStopping) next = std::min(next, *drain_ends_);
  if (phase_ == Phase::kStopping) next = std::min(next, stop_ends_);
  if (!settings_.metrics_file.empty()) next = std::min(next, next_metrics_);
  if (to_.report.shows_progress()) next = std::min(next, next_status_);
  return next;
}

void Relay::take_in(io::Loop& loop) {
  if (loop.stop_signal()) to_.source.stop();
  more_ = false;
  std::optional<Error> error;
  if (to_.door.open() && !to_.source.ended() && takes(loop)) {
    auto turned = to_.source.turn(loop, to_.door);
    if (turned) {
      more_ = *turned;
    } else {
      error = std::move(turned).error();
    }
  }
  const bool retry = to_.door.blocked() && (!to_.spool.full() || monotonic_now() >= next_commit_);
  const bool ends = error.has_value() || to_.source.ended();
  if (to_.door.blocked() ? retry : (!more_ || ends || to_.door.due())) {
    if (auto committed = to_.door.commit(); !committed) {
      error = std::move(committed).error().in("spool");
    }
    next_commit_ = monotonic_now() + kBetweenCommits;
    tell_blocked();
  }
  if (!to_.door.pending()) to_.source.acknowledge();
  if (to_.source.ended() && !drain_ends_) drain_ends_ = monotonic_now() + settings_.drain_timeout;
  // Records in hand wait for room, but no longer than a drain may take.
  const bool waits = to_.door.pending() && !loop.stop_signal() && !(drain_ends_ && monotonic_now() >= *drain_ends_);
  const bool over = to_.source.ended() || (loop.stop_signal() && to_.door.blocked());
  if (error || (over && !waits)) end_input(loop, std::move(error));
}

// A spool that is drained as fast as it fills is full at every moment and has room at every other.
void Relay::tell_blocked() {
  const bool blocked = to_.door.blocked();
  if (blocked == std::exchange(was_blocked_, blocked)) return;
  if (blocked) {
    told_blocked_ = blocked_notice_.due(monotonic_now());
    if (told_blocked_) {
      to_.report.warn(fmt::format("{}: nothing more is taken in for now ({} of these)", to_.door.blocked_by(),
                                  blocked_notice_.count()));
    }
  } else if (told_blocked_) {
    to_.report.warn("records are taken in again");
  }
}

// Nothing more is taken in.
void Relay::end_input(io::Loop& loop, std::optional<Error> error) {
  input_error_ = std::move(error);
  const bool complete = !to_.door.pending() && !input_error_;
  if (auto left = to_.source.leave(loop, complete); !left) to_.report.warn(left.error().what);
  if (loop.stop_signal()) {
    begin_stop(loop);
  } else {
    phase_ = Phase::kDraining;
    if (!drain_ends_) drain_ends_ = monotonic_now() + settings_.drain_timeout;
  }
}

void Relay::answer_signals(io::Loop& loop) {
  if (loop.take_report_request()) {
    to_.report.statistics(metrics().print_json());
    write_metrics();
  }
  if (loop.take_reload_request()) {
    if (settings_.reload) {
      if (auto reloaded = settings_.reload(); !reloaded) to_.report.warn(reloaded.error().what);
    }
    to_.uploader.hurry();
    to_.source.hurry();
  }
  if (loop.stop_signal() && phase_ == Phase::kDraining) begin_stop(loop);
}

// Nothing more is sent; what is on its way is waited for.
void Relay::begin_stop(const io::Loop& loop) {
  to_.uploader.stop();
  manager_.stopping();
  phase_ = Phase::kStopping;
  stop_ends_ = loop.stop_deadline() - kLastWords;
}

void Relay::tell() {
  const MonotonicTime now = monotonic_now();
  if (!settings_.metrics_file.empty() && now >= next_metrics_) write_metrics();
  if (now < next_status_) return;
  next_status_ =
      now + (to_.report.shows_progress() ? cli::Report::kProgressInterval : std::chrono::milliseconds(kBetweenStatus));
  const std::string text = status();
  manager_.status(text);
  to_.report.progress(text);
}

std::string Relay::status() const {
  const spool::Statistics statistics = to_.spool.statistics();
  const std::string source = to_.source.state();
  return fmt::format("{} accepted, {} delivered, {} queued{}{}{}", statistics.accepted, statistics.delivered,
                     statistics.queued + statistics.in_flight, to_.door.blocked() ? ", full" : "",
                     source.empty() ? "" : ", ", source);
}

Metrics Relay::metrics() const {
  Metrics metrics;
  metrics.gauge("start_time_seconds", "when the process began, in seconds since 1970",
                std::chrono::duration<double>(started_.time_since_epoch()).count());
  metrics.counter("received_total", "records that came in, good or not", to_.door.counts().received);
  Metrics::Samples rejected;
  for (const auto& [reason, count] : to_.door.counts().rejected) {
    rejected.emplace_back(reason, static_cast<double>(count));
  }
  metrics.counters("rejected_total", "records refused at the door", "reason", std::move(rejected));
  metrics.gauge("taking_in", "1 while records are accepted", phase_ == Phase::kTaking && !to_.door.blocked() ? 1 : 0);
  metrics.counter("metrics_failures_total", "figures that could not be written", metrics_failures_);
  to_.source.add_metrics(metrics);
  spool::add_metrics(metrics, to_.spool);
  to_.uploader.add_metrics(metrics);
  return metrics;
}

void Relay::write_metrics() {
  if (settings_.metrics_file.empty()) return;
  next_metrics_ = monotonic_now() + kBetweenMetrics;
  const std::string text = metrics().print("mflt_relay_");
  if (auto written = io::replace_file(settings_.metrics_file, text, 0644, io::Durable::kNo); !written) {
    if (metrics_failures_++ == 0) to_.report.warn(written.error().what);
  }
}

void Relay::conclude(const io::Loop& loop) {
  if (input_error_) to_.report.fail(*input_error_);
  const Drain drain = to_.uploader.drain();
  const std::uint64_t rejected = to_.door.counts().rejected_sum();
  if (to_.door.unanswered() > 0) {
    to_.report.fail({ErrorCode::kUnavailable,
                     fmt::format("{} records were read and not accepted", to_.door.unanswered()),
                     {},
                     std::nullopt});
  }
  if (drain.remaining > 0) {
    const std::string what = fmt::format("{} chunks remain in the spool", drain.remaining);
    if (loop.stop_signal()) {
      to_.report.say(what);
    } else if (drain.denied) {
      to_.report.fail({ErrorCode::kDenied, fmt::format("{}: their project key is refused", what),
                       "correct the key; the next run sends them", std::nullopt});
    } else {
      to_.report.fail({ErrorCode::kUnavailable, what, "the next run sends them", std::nullopt});
    }
  }
  if (rejected > 0) {
    std::string reasons;
    for (const auto& [reason, count] : to_.door.counts().rejected) {
      reasons.append(fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, reason));
    }
    to_.report.partial(fmt::format("{} records were refused: {}", rejected, reasons));
  }
  if (const std::uint64_t dropped = given_up(to_.spool) - given_up_before_; dropped > 0) {
    to_.report.partial(fmt::format("{} chunks were dropped", dropped));
  }
  if (drain.dead_lettered > 0) {
    to_.report.partial(fmt::format("{} chunks were refused by the server and set aside", drain.dead_lettered));
  }
}

}  // namespace fieldpipe::relay
