// SPDX-License-Identifier: MIT
#include "uplink_client/client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "uplink/payload.h"
#include "uplink/stored.h"

namespace fieldpipe::uplink_client {
namespace {

// Text that is made into lines at a time: a byte of it may become fifty of lines.
constexpr std::size_t kPieceBytes = std::size_t{16} * 1024;

constexpr std::chrono::seconds kCheckpointEvery{1};
constexpr std::size_t kMostCheckpoints = 8;

// A stop signal often goes to a whole pipeline: what its other end still hands over on its way out is not to be lost,
// but an input that does not end must not hold the end up. The service has as long to say that it has read everything.
constexpr std::chrono::seconds kInputAfterStop{1};

// Lines of the service that are reported one by one.
constexpr std::uint64_t kMostReports = 10;

}  // namespace

Client::Client(Settings settings, std::optional<Actions> actions, std::optional<io::Output> out, cli::Report& report)
    : settings_(std::move(settings)),
      actions_(std::move(actions)),
      out_(std::move(out)),
      report_(report),
      link_(settings_.link, report),
      encoder_(settings_.lines),
      faults_(settings_.strict) {}

Result<void> Client::run(io::Loop& loop, std::optional<io::Input> input) {
  input_ = std::move(input);
  Result<void> ran;
  while (ran && !done_) ran = turn(loop);
  if (input_error_) report_.fail(*input_error_);
  if (faults_.count() > 0) report_.partial(faults_.summary(cutter_.lines()));
  if (const std::size_t count = link_.lines().count(); !ran && count > 0) {
    Error error = std::move(ran).error();
    error.what += fmt::format("; {} line{} {}", count, count == 1 ? "" : "s",
                              settings_.link.keep_until_stored ? "not confirmed" : "not sent");
    return tl::make_unexpected(std::move(error));
  }
  if (ran && link_.resets() > 0) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("{}: {} connections broke, and lines that were on their way may be lost",
                            io::print_endpoint(settings_.link.service), link_.resets()),
                "--wait-stored, where the service is uplink-serve");
  }
  return ran;
}

Result<void> Client::turn(io::Loop& loop) {
  // What is good before the fault is delivered.
  if (auto filled = fill(); !filled) end_input(std::move(filled).error());
  if (actions_) actions_->handle(!link_.full(), link_.lines().text());
  ask_for_confirmation();
  const auto take = [this](std::string_view line) { return take_line(line); };
  if (auto handled = link_.handle(take); !handled) return handled;
  if (auto checked = check_confirmation(); !checked) return checked;
  if (out_) {
    if (auto flushed = out_->flush(loop); !flushed) return flushed;
  }
  const bool more = input_ || stays() || (actions_ && !actions_->idle());
  if (!more && (!settings_.link.keep_until_stored || link_.lines().empty()) && link_.finish()) {
    done_ = true;
    return {};
  }
  // At a stop the lines have gone; that the service has read them need not be waited for.
  if (!more && input_ends_ && link_.lines().unsent().empty() && monotonic_now() >= *input_ends_) {
    done_ = true;
    return {};
  }
  return wait(loop);
}

Result<void> Client::wait(io::Loop& loop) {
  MonotonicTime wake = link_.deadline();
  if (actions_) wake = std::min(wake, actions_->deadline());
  if (input_ends_ && monotonic_now() < *input_ends_) wake = std::min(wake, *input_ends_);
  if (unasked_since_ && checkpoints_.empty()) wake = std::min(wake, *unasked_since_ + kCheckpointEvery);
  if (unanswered_since_) wake = std::min(wake, *unanswered_since_ + settings_.link.timeout);
  const int input = wants_input() ? input_->descriptor() : -1;
  link_.watch(loop);
  loop.watch(input, POLLIN);
  if (actions_) actions_->watch(loop, !link_.full());
  if (out_) loop.watch(out_->descriptor(), 0);
  if (auto waited = loop.wait(wake == MonotonicTime::max() ? std::nullopt : std::optional(wake)); !waited) {
    return waited;
  }
  note_stop(loop);
  if (out_ && loop.ready(out_->descriptor(), 0)) return tl::make_unexpected(io::system_error("stdout", EPIPE));
  if (input_ && loop.ready(input, POLLIN)) {
    if (auto read = input_->read_more(); !read) end_input(std::move(read).error());
  }
  return {};
}

void Client::end_input(Error error) {
  input_error_ = std::move(error);
  input_.reset();
}

void Client::note_stop(const io::Loop& loop) {
  if (!loop.stop_signal()) return;
  const MonotonicTime now = monotonic_now();
  if (!input_ends_) {
    input_ends_ = now + std::min<MonotonicTime::duration>(kInputAfterStop, (loop.stop_deadline() - now) / 2);
    if (actions_) actions_->stop();
  }
  if (now >= *input_ends_) input_.reset();
}

Result<void> Client::fill() {
  while (wants_input()) {
    const std::string_view window = as_text(input_->window());
    const std::uint64_t now = to_unix_ms(wall_now());
    const auto take = [&](std::string_view line) -> Result<void> {
      auto encoded = encoder_.encode(line, now, link_.lines().text());
      if (encoded) return encoded;
      if (!encoder_.unusable()) return faults_.add(cutter_.lines(), encoded.error().what);
      return tl::make_unexpected(std::move(encoded).error().in(fmt::format("line {}", cutter_.lines())));
    };
    const auto too_long = [&](std::string_view) {
      return faults_.add(cutter_.lines(), fmt::format("more than {}", print_size(uplink::kMaxLineBytes)));
    };
    const auto feed = [&](std::string_view text) {
      return cutter_.feed(text, input_->at_end() && text.size() == window.size(), uplink::kMaxLineBytes, take,
                          too_long);
    };
    auto taken = feed(window.substr(0, kPieceBytes));
    if (taken && *taken == 0 && window.size() > kPieceBytes) taken = feed(window);
    if (!taken) return tl::make_unexpected(std::move(taken).error().in(input_->name()));
    input_->consume(*taken);
    if (*taken == 0) {
      if (input_->at_end()) input_.reset();
      return {};
    }
    link_.send();
  }
  return {};
}

void Client::ask_for_confirmation() {
  LineBuffer& lines = link_.lines();
  if (!settings_.link.keep_until_stored || lines.end_offset() == asked_offset_) return;
  const MonotonicTime now = monotonic_now();
  if (!unasked_since_) unasked_since_ = now;
  const bool ending = !input_ && !stays();
  const bool is_time = checkpoints_.empty() && (ending || now - *unasked_since_ >= kCheckpointEvery);
  const bool is_much =
      checkpoints_.size() < kMostCheckpoints && lines.end_offset() - asked_offset_ >= settings_.link.buffer_bytes / 4;
  // A full buffer is emptied by answers only.
  if (!is_time && !is_much && !(link_.full() && checkpoints_.empty())) return;
  uplink::append_checkpoint(lines.text(), ++checkpoint_count_, to_unix_ms(wall_now()));
  asked_offset_ = lines.end_offset();
  checkpoints_.push_back({checkpoint_count_, asked_offset_});
  unasked_since_.reset();
}

// The real uplink takes a checkpoint for data and never answers.
Result<void> Client::check_confirmation() {
  const bool waits = !checkpoints_.empty() && link_.connected() &&
                     link_.lines().sent_offset() >= checkpoints_.front().offset && (!was_answered_ || !input_);
  if (!waits) {
    unanswered_since_.reset();
    return {};
  }
  const MonotonicTime now = monotonic_now();
  if (!unanswered_since_) unanswered_since_ = now;
  if (now - *unanswered_since_ < settings_.link.timeout) return {};
  return fail(ErrorCode::kUnavailable,
              fmt::format("{}: did not say within {} that the lines are stored",
                          io::print_endpoint(settings_.link.service), print_duration(settings_.link.timeout)),
              "--wait-stored works with uplink-serve only");
}

Result<void> Client::take_line(std::string_view line) {
  if (const auto number = uplink::parse_stored(line); number && settings_.link.keep_until_stored) {
    const auto found = std::find_if(checkpoints_.begin(), checkpoints_.end(),
                                    [&](const Checkpoint& checkpoint) { return checkpoint.number == *number; });
    // An answer to what was not sent is none, or nothing would be left to wait for.
    if (found == checkpoints_.end() || found->offset > link_.lines().sent_offset()) return {};
    link_.lines().confirm(found->offset);
    checkpoints_.erase(checkpoints_.begin(), found + 1);
    unanswered_since_.reset();
    was_answered_ = true;
    return {};
  }
  const auto action = uplink::parse_action(reader_, line);
  if (!action || (!actions_ && !out_)) {
    const std::string why = action ? "an action, which nobody handles" : action.error().what;
    if (++unusable_lines_ <= kMostReports) {
      report_.warn(fmt::format("{}: line passed over: {}", io::print_endpoint(settings_.link.service), why));
    }
    return {};
  }
  if (out_) uplink::append_action_line(out_->buffer(), *action);
  if (actions_) actions_->take(*action, link_.lines().text());
  return {};
}

}  // namespace fieldpipe::uplink_client
