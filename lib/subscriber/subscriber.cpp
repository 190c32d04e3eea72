// SPDX-License-Identifier: MIT
#include "subscriber/subscriber.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "mqtt/envelope.h"
#include "mqtt/reason.h"

namespace fieldpipe::subscriber {
namespace {

// Messages between two acknowledgements. Many, because each batch costs a write and a turn of the
// loop; few enough that a broker does not run into its own limits meanwhile.
constexpr std::size_t kBatch = 500;

Error reader_gone() { return io::system_error("stdout", EPIPE); }

bool is_line_of_text(std::string_view payload) {
  return payload.find('\n') == std::string_view::npos && payload.find('\0') == std::string_view::npos &&
         !find_invalid_utf8(payload);
}

}  // namespace

Subscriber::Subscriber(mqtt::Client& client, Settings settings, cli::Report& report)
    : client_(client), settings_(std::move(settings)), report_(report), last_message_(monotonic_now()) {}

Result<void> Subscriber::run(io::Loop& loop, io::Output& out) {
  needs_text_ = ::isatty(out.descriptor()) != 0;
  if (settings_.keeps_session) {
    // A pipe of one page takes the next record only when the last one was read from it (pipe(7)), so
    // that poll tells what the reader has.
    pipe_bytes_ = ::fcntl(out.descriptor(), F_GETPIPE_SZ);
    careful_ =
        pipe_bytes_ > 0 && ::fcntl(out.descriptor(), F_SETPIPE_SZ, static_cast<int>(::sysconf(_SC_PAGESIZE))) > 0;
  }
  for (;;) {
    auto next = turn(loop, out);
    for (const std::string& notice : client_.notices()) report_.warn(notice);
    client_.notices().clear();
    if (next && *next == Next::kGoOn) continue;
    if (next && *next == Next::kLeave) break;
    // What was read last shall not be acknowledged, what was before shall be.
    auto left = client_.abandon(loop);
    if (!next) return fail(std::move(next));
    return left;
  }
  auto left = leave(loop);
  if (reader_gone_) return tl::make_unexpected(reader_gone());
  return left;
}

Result<void> Subscriber::leave(io::Loop& loop) {
  if (!client_.connected()) return {};
  // Closing behind the last acknowledgement would lose many of them: the broker sends its next message
  // to a closed socket and drops what it has not read.
  if (settings_.keeps_session) return client_.barrier(loop);
  client_.write();
  return client_.disconnect(loop);
}

Result<Subscriber::Next> Subscriber::turn(io::Loop& loop, io::Output& out) {
  MonotonicTime wake = client_.deadline();
  if (settings_.deadline) wake = std::min(wake, *settings_.deadline);
  if (settings_.idle_timeout) wake = std::min(wake, last_message_ + *settings_.idle_timeout);
  client_.watch(loop);
  loop.watch(out.descriptor(), 0);
  if (auto waited = loop.wait(wake); !waited) return fail(std::move(waited));
  if (loop.stop_signal()) return Next::kLeave;
  if (loop.ready(out.descriptor(), 0)) {
    reader_gone_ = true;
    return Next::kLeave;
  }
  if (auto handled = client_.handle(loop, batch()); !handled) return fail(std::move(handled));
  if (client_.connected() && client_.connections() != subscribed_on_) {
    if (auto subscribed = subscribe(); !subscribed) return fail(std::move(subscribed));
  }
  if (auto checked = check_grants(); !checked) return fail(std::move(checked));
  if (settings_.leave_when_subscribed && granted_ >= settings_.filters.size()) {
    // To say goodbye would acknowledge what has come and was not printed.
    return client_.received().empty() ? Next::kLeave : Next::kLeaveUnacknowledged;
  }
  auto next = print(loop, out);
  if (!next || *next != Next::kGoOn) return next;
  client_.write();
  client_.acknowledged().clear();
  return check_time();
}

Result<Subscriber::Next> Subscriber::check_time() {
  const MonotonicTime now = monotonic_now();
  const bool late = settings_.deadline && now >= *settings_.deadline;
  const bool idle = settings_.idle_timeout && now >= last_message_ + *settings_.idle_timeout;
  if (!late && !idle) return Next::kGoOn;
  if (settings_.count) {
    return fail(ErrorCode::kUnavailable, fmt::format("{} of {} messages came in time", printed_, *settings_.count));
  }
  if (client_.connections() == 0) return fail(ErrorCode::kUnavailable, "no connection in time");
  return Next::kLeave;
}

Result<void> Subscriber::subscribe() {
  subscribed_on_ = client_.connections();
  granted_ = 0;
  const unsigned options = settings_.retain_as_published ? mqtt::Client::kRetainAsPublished : mqtt::Client::kNoOption;
  if (!settings_.filters.empty()) {
    if (auto asked = client_.subscribe(settings_.filters, settings_.qos, options, settings_.subscribe_properties);
        !asked)
      return asked;
  }
  if (!settings_.unsubscribed.empty())
    return client_.unsubscribe(settings_.unsubscribed, settings_.unsubscribe_properties);
  return {};
}

Result<void> Subscriber::check_grants() {
  for (const mqtt::Grant& grant : client_.grants()) {
    const std::string what = fmt::format("subscribing to '{}'", printable(grant.filter));
    if (grant.granted >= mqtt::kFirstFailure) {
      Error error = mqtt::reason_error(grant.granted);
      if (error.code != ErrorCode::kUnavailable) error.code = ErrorCode::kRefused;
      return tl::make_unexpected(std::move(error).in(what));
    }
    if (grant.granted == 0 && grant.asked > 0) {
      return fail(ErrorCode::kRefused, fmt::format("{}: the broker grants QoS 0, not {}", what, grant.asked),
                  "-q 0 takes messages without acknowledging them");
    }
    if (++granted_ == settings_.filters.size()) report_.say("subscribed");
  }
  client_.grants().clear();
  return {};
}

bool Subscriber::is_careful() const { return careful_ && printed_ < kCarefulRecords; }

std::size_t Subscriber::batch() const {
  if (is_careful()) return 1;
  return settings_.count ? std::min<std::uint64_t>(kBatch, *settings_.count - printed_) : kBatch;
}

bool Subscriber::is_wanted(const mqtt::Received& message) const {
  if (message.retain && settings_.no_retained) return false;
  return std::none_of(settings_.unwanted.begin(), settings_.unwanted.end(),
                      [&](const std::string& filter) { return mqtt::matches(filter, message.topic); });
}

Result<Subscriber::Next> Subscriber::print(io::Loop& loop, io::Output& out) {
  if (client_.received().empty()) return Next::kGoOn;
  const WallTime at = wall_now();
  last_message_ = monotonic_now();
  Next next = Next::kGoOn;
  Result<void> result;
  for (mqtt::Received& message : client_.received()) {
    if (settings_.retained_only && !message.retain) {
      next = settings_.keeps_session ? Next::kLeaveUnacknowledged : Next::kLeave;
      break;
    }
    if (message.retain && settings_.remove_retained && !message.payload.empty()) {
      if (result = remove(message); !result) break;
    }
    if (!is_wanted(message)) continue;
    if (result = append(out.buffer(), message, at); !result) break;
    ++printed_;
  }
  client_.received().clear();
  // Nothing of this batch will be acknowledged now. A session that is kept delivers all of it again,
  // so it is not written either; otherwise what was good must not be lost.
  if (!result && settings_.keeps_session) return fail(std::move(result));
  if (auto handed = hand_over(loop, out); !handed) return fail(std::move(handed));
  if (!result) return fail(std::move(result));
  if (settings_.count && printed_ >= *settings_.count) next = Next::kLeave;
  return next;
}

Result<void> Subscriber::hand_over(io::Loop& loop, io::Output& out) {
  const bool wrote = !out.buffer().empty();
  if (auto flushed = out.flush(loop); !flushed) return flushed;
  if (!careful_ || !wrote) return {};
  for (bool taken = false; !taken && !loop.stop_signal();) {
    loop.watch(out.descriptor(), POLLOUT);
    if (auto waited = loop.wait(std::nullopt); !waited) return waited;
    if (loop.ready(out.descriptor(), 0)) {
      // A reader that has had enough takes its last record and goes.
      int unread = 0;
      if (::ioctl(out.descriptor(), FIONREAD, &unread) != 0 || unread > 0) return tl::make_unexpected(reader_gone());
      return {};
    }
    taken = loop.ready(out.descriptor(), POLLOUT);
  }
  if (!is_careful()) {
    ::fcntl(out.descriptor(), F_SETPIPE_SZ, pipe_bytes_);
    careful_ = false;
  }
  return {};
}

Result<void> Subscriber::append(std::string& out, mqtt::Received& message, WallTime at) {
  auto appended = [&]() -> Result<void> {
    if (settings_.format) {
      if (auto done = settings_.format->append(out, message, at, reader_); !done) return done;
      if (!settings_.no_newline) out.push_back('\n');
      return {};
    }
    if (!settings_.to) {
      record::append_envelope(reader_, out, mqtt::envelope(std::move(message), at));
      out.push_back('\n');
      return {};
    }
    if (*settings_.to == record::Framing::kLines) return append_line(out, message);
    if (settings_.show_topic) out.append(message.topic).push_back(' ');
    return record::append_record(out, *settings_.to, as_bytes(message.payload));
  }();
  if (!appended) return tl::make_unexpected(std::move(appended).error().in(printable(message.topic)));
  return {};
}

Result<void> Subscriber::append_line(std::string& out, const mqtt::Received& message) const {
  const bool raw = settings_.no_newline;
  if (raw ? needs_text_ && find_invalid_utf8(message.payload) : !is_line_of_text(message.payload)) {
    return fail(ErrorCode::kBadData,
                fmt::format("a payload of {} bytes that is not one line of text", message.payload.size()),
                "--to frames, hex, base64 or envelope; -N for the bytes as they are");
  }
  if (settings_.show_topic) out.append(message.topic).push_back(' ');
  // As mosquitto_sub marks an empty payload behind a topic.
  out.append(settings_.show_topic && message.payload.empty() ? std::string_view("(null)")
                                                             : std::string_view(message.payload));
  if (!raw) out.push_back('\n');
  return {};
}

Result<void> Subscriber::remove(const mqtt::Received& message) {
  auto sent = client_.publish({message.topic, {}, 1, true, nullptr});
  if (!sent) return fail(std::move(sent));
  return {};
}

}  // namespace fieldpipe::subscriber
