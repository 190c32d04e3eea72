// SPDX-License-Identifier: MIT
#include "uplink_service/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/socket.h"
#include "json/reader.h"
#include "uplink/payload.h"
#include "uplink/stored.h"

namespace fieldpipe::uplink_service {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;

// What is read in a turn, so that one client does not keep the others waiting.
constexpr std::size_t kTurnBytes = std::size_t{256} << 10U;

// A line of the longest kind and something to cut it off from.
constexpr std::size_t kMostBuffered = uplink::kMaxLineBytes + kTurnBytes;

// Lines that are too long, one after the other: this is no application of ours.
constexpr std::size_t kMostLongLines = 3;

// A client that does not read what it is told.
constexpr std::size_t kMostUnsent = std::size_t{2} << 20U;

constexpr std::size_t kShownBytes = 60;

// How long a client that has to go may go on sending, and how long a silence ends that.
constexpr std::chrono::seconds kLeaving{1};
constexpr std::chrono::milliseconds kQuiet{100};

}  // namespace

std::size_t Connection::room() const { return kMostBuffered - std::min(kMostBuffered, end_ - begin_.at); }

void Connection::read(MonotonicTime now) {
  std::size_t most = std::min(kTurnBytes, room());
  while (!ended_ && most > 0) {
    if (begin_.at > 0) {  // what was accepted makes room
      std::memmove(buffer_.data(), buffer_.data() + begin_.at, end_ - begin_.at);
      end_ -= begin_.at;
      at_.at -= begin_.at;
      scanned_ -= std::min(scanned_, begin_.at);
      begin_.at = 0;
    }
    const std::size_t wanted = std::min(most, kReadBytes);
    if (buffer_.size() < end_ + wanted + json::kPaddingBytes) buffer_.resize(end_ + wanted + json::kPaddingBytes);
    const auto count = io::receive_some(socket_, std::span(buffer_).subspan(end_, wanted));
    if (!count || !*count) {
      ended_ = true;
      last_line_counts_ = count.has_value();
      return;
    }
    if (**count == 0) break;
    end_ += **count;
    most -= **count;
    quiet_ = now + kQuiet;
  }
  if (leaving_ && now >= std::min(quiet_, leaves_)) ended_ = true;
}

std::optional<MonotonicTime> Connection::deadline() const {
  return leaving_ && !ended_ ? std::optional(std::min(quiet_, leaves_)) : std::nullopt;
}

std::optional<Connection::Line> Connection::next_line() {
  while (at_.at < end_) {
    before_line_ = at_;
    const char* const start = buffer_.data() + at_.at;
    const std::size_t from = std::max(scanned_, at_.at);
    const auto* found = static_cast<const char*>(std::memchr(buffer_.data() + from, '\n', end_ - from));
    const auto length = static_cast<std::size_t>((found != nullptr ? found : buffer_.data() + end_) - start);
    if (found == nullptr && !ended_ && length <= uplink::kMaxLineBytes && !at_.skipping) {
      scanned_ = end_;
      return std::nullopt;
    }
    at_.at += length + (found != nullptr ? 1 : 0);
    scanned_ = at_.at;
    const bool was_skipping = std::exchange(at_.skipping, found == nullptr && !ended_);
    if (was_skipping) continue;
    Line line{{start, length}, buffer_.size() - static_cast<std::size_t>(start - buffer_.data()) - length, false};
    if (length > uplink::kMaxLineBytes) {
      line = {line.text.substr(0, kShownBytes), 0, true};
      if (++at_.long_lines == kMostLongLines) end();
      return line;
    }
    at_.long_lines = 0;
    if (found == nullptr) {
      // uplink takes what the end leaves without LF for a line, but for nothing and a single CR.
      if (!last_line_counts_) {
        cut_short_ = true;
        return std::nullopt;
      }
      if (line.text == "\r") return std::nullopt;
    }
    return line;
  }
  return std::nullopt;
}

void Connection::unread() {
  at_ = before_line_;
  scanned_ = at_.at;
}

void Connection::accept() {
  begin_ = at_;
  for (const std::uint32_t number : promises_) uplink::append_stored(out_, number);
  promises_.clear();
  if (begin_.at == end_) {
    begin_.at = at_.at = end_ = scanned_ = 0;
    // A connection that rests keeps no more than it needs for the next line.
    if (buffer_.size() > kReadBytes + json::kPaddingBytes) std::string().swap(buffer_);
  }
  flush();
}

void Connection::rewind() {
  at_ = begin_;
  scanned_ = at_.at;
  promises_.clear();
}

void Connection::leave(MonotonicTime now) {
  leaving_ = true;
  leaves_ = now + kLeaving;
  quiet_ = now + kQuiet;
  ::shutdown(socket_.get(), SHUT_WR);
}

// Drops what was read and not yet taken.
void Connection::end() {
  ended_ = true;
  end_ = at_.at;
}

void Connection::send_action(std::string_view line, std::uint64_t number) {
  out_ += line;
  carried_ = number;
  flush();
}

std::optional<std::uint64_t> Connection::take_sent() {
  if (!out_.empty() || broken_) return std::nullopt;
  return std::exchange(carried_, std::nullopt);
}

void Connection::flush() {
  if (out_.empty() || broken_) return;
  const auto sent = io::send_some(socket_, out_);
  if (sent) out_.erase(0, *sent);
  if (sent && out_.size() <= kMostUnsent) return;
  // What it has sent before is read all the same.
  broken_ = true;
  out_.clear();
  leave(monotonic_now());
}

}  // namespace fieldpipe::uplink_service
