// SPDX-License-Identifier: MIT
#include "uplink_client/link.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/backoff.h"
#include "core/text.h"
#include "uplink/action.h"

namespace fieldpipe::uplink_client {
namespace {

// A connection that lasted so long shows that the service and we are alone with each other.
constexpr std::chrono::seconds kStable{60};

}  // namespace

Link::Link(LinkSettings settings, cli::Report& report)
    : settings_(std::move(settings)), report_(report), connector_(settings_.service, settings_.timeout) {}

void Link::watch(io::Loop& loop) const {
  connector_.watch(loop);
  if (!socket_) return;
  const bool wants_to_send = !half_closed_ && !lines_.unsent().empty();
  loop.watch(socket_.get(), static_cast<short>(POLLIN | (wants_to_send ? POLLOUT : 0)));
}

MonotonicTime Link::deadline() const {
  if (ended_) return MonotonicTime::max();
  if (connector_.active()) return connector_.deadline();
  if (!socket_) return next_attempt_;
  return half_closed_ ? half_closed_since_ + settings_.timeout : MonotonicTime::max();
}

Result<void> Link::handle(const Take& take) {
  if (ended_) return {};
  if (!socket_) {
    if (auto connected = connect(); !connected) return connected;
  }
  if (socket_) {
    if (auto received = receive(take); !received) return received;
  }
  send();
  if (half_closed_ && socket_ && monotonic_now() >= half_closed_since_ + settings_.timeout) {
    return fail(ErrorCode::kUnavailable, fmt::format("{}: did not end the connection within {}, so it may not have "
                                                     "read everything",
                                                     where(), print_duration(settings_.timeout)));
  }
  return {};
}

Result<void> Link::connect() {
  if (!connector_.active()) {
    if (monotonic_now() < next_attempt_) return {};
    connector_.start();
  }
  auto connected = connector_.advance();
  if (!connected) {
    if (!was_connected_ && !settings_.retry) {
      return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", where(), connected.error().what),
                  "--retry waits for the service");
    }
    const auto pause = backoff(failures_++, random_fraction());
    next_attempt_ = monotonic_now() + pause;
    closed_by_service_ = false;
    const std::string told = fmt::format("{}: {}", where(), connected.error().what);
    if (!std::exchange(outage_told_, true)) {
      report_.warn(told + "; trying again");
    } else {
      report_.say(fmt::format("{}; next attempt in {}", told, print_duration(pause)));
    }
    return {};
  }
  if (!*connected) return {};
  socket_ = *std::move(connected);
  if (std::exchange(closed_by_service_, false)) {
    report_.warn(
        fmt::format("{}: closed the connection and takes new ones: another client of this port, it seems", where()));
  } else if (was_connected_ || outage_told_) {
    report_.warn(fmt::format("{}: connected", where()));
  }
  was_connected_ = true;
  outage_told_ = false;
  half_closed_ = false;
  sent_on_this_ = 0;
  received_.clear();
  cutter_ = {};
  connected_since_ = monotonic_now();
  lines_.rewind();
  return {};
}

Result<void> Link::receive(const Take& take) {
  for (;;) {
    const auto count = io::receive_some(socket_, block_);
    if (!count) return lose(count.error()), Result<void>();
    if (!*count) return lose(std::nullopt), Result<void>();
    if (**count == 0) return {};
    received_.append(block_.data(), **count);
    const auto too_long = [&](std::string_view) -> Result<void> {
      report_.warn(
          fmt::format("{}: a line of more than {} was passed over", where(), print_size(uplink::kMaxActionBytes)));
      return {};
    };
    const auto taken = cutter_.feed(received_, false, uplink::kMaxActionBytes, take, too_long);
    if (!taken) return tl::make_unexpected(taken.error());
    received_.erase(0, *taken);
  }
}

void Link::send() {
  if (!socket_ || half_closed_) return;
  while (!lines_.unsent().empty()) {
    const auto count = io::send_some(socket_, lines_.unsent());
    if (!count) return lose(count.error());
    if (*count == 0) break;
    lines_.sent(*count);
    sent_on_this_ += *count;
  }
  if (!settings_.keep_until_stored) take_arrived();
}

// Forgets the lines that the other side's system has.
void Link::take_arrived() {
  int waiting = 0;
  if (::ioctl(socket_.get(), SIOCOUTQ, &waiting) != 0 || waiting < 0) return;
  // A unix socket counts what its buffers cost.
  const auto unarrived = std::min(static_cast<std::uint64_t>(waiting), sent_on_this_);
  lines_.confirm(lines_.sent_offset() - unarrived);
}

void Link::lose(const std::optional<Error>& error) {
  if (!settings_.keep_until_stored) {
    take_arrived();
    if (error && sent_on_this_ > 0) {
      ++resets_;
      report_.warn(fmt::format("{}: {}; lines that were on their way may be lost", where(), error->what));
    }
  }
  socket_ = io::Descriptor();
  if (half_closed_ && !error && lines_.empty()) {
    ended_ = true;
    return;
  }
  const MonotonicTime now = monotonic_now();
  if (now - connected_since_ >= kStable) failures_ = 0;
  const auto pause = backoff(failures_++, random_fraction());
  next_attempt_ = now + pause;
  closed_by_service_ = true;
  report_.say(fmt::format("{}: {}; next attempt in {}", where(), error ? error->what : "closed the connection",
                          print_duration(pause)));
}

bool Link::finish() {
  if (ended_) return true;
  if (!socket_) {
    // Nothing that a new connection would be good for.
    ended_ = lines_.empty();
    return ended_;
  }
  if (!half_closed_ && lines_.unsent().empty()) {
    ::shutdown(socket_.get(), SHUT_WR);
    half_closed_ = true;
    half_closed_since_ = monotonic_now();
  }
  return false;
}

}  // namespace fieldpipe::uplink_client
