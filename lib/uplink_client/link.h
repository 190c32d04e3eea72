// SPDX-License-Identifier: MIT
// The connection to the service: made again when it is lost, with the lines that did not arrive.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/socket.h"
#include "record/lines.h"
#include "uplink_client/line_buffer.h"

namespace fieldpipe::uplink_client {

struct LinkSettings {
  io::Endpoint service;
  bool retry = false;                  // try the first connection again, too
  bool keep_until_stored = false;      // lines are forgotten when lines().confirm() says so, not when they arrived
  std::chrono::nanoseconds timeout{};  // of an attempt to connect, and of the end
  std::size_t buffer_bytes = 0;        // when lines() is full
};

// What it does about a connection that ends: the service closes it when another client comes, or when it stops itself.
// The pause before each attempt is chosen at random below a limit that doubles (core/backoff.h), and begins anew only
// behind a connection that lasted a minute: so two clients of one port do not throw each other out without end.
//
// Linux tells whether the other side has read what was sent: a socket that is closed with unread bytes is reset, one
// that has been read is not, and what never got there is still in the sending queue. So a service that reads to the end
// and closes loses nothing, and after a reset the loss is possible and reported.
class Link {
 public:
  // Takes a line from the service, without its LF.
  using Take = std::function<Result<void>(std::string_view line)>;

  Link(LinkSettings settings, cli::Report& report);

  // Lines to send; append to its text.
  LineBuffer& lines() { return lines_; }
  [[nodiscard]] const LineBuffer& lines() const { return lines_; }

  // Whether so much is to be sent, or confirmed, that nothing should be appended. What was sent and has not arrived
  // does not count, because nothing tells when it does; the system's buffer bounds it.
  [[nodiscard]] bool full() const {
    return (settings_.keep_until_stored ? lines_.bytes() : lines_.unsent().size()) >= settings_.buffer_bytes;
  }

  [[nodiscard]] bool connected() const { return static_cast<bool>(socket_); }

  // Since when it is connected.
  [[nodiscard]] MonotonicTime connected_since() const { return connected_since_; }

  // What to wait for, and how long at most, before the next handle().
  void watch(io::Loop& loop) const;
  [[nodiscard]] MonotonicTime deadline() const;

  // Connects, receives and sends, without waiting. Lines of more than uplink::kMaxActionBytes are passed over with a
  // warning. Fails with kUnavailable when the first connection cannot be made, and when the end takes too long.
  Result<void> handle(const Take& take);

  // Sends what can be sent now.
  void send();

  // Nothing is appended any more: when all is sent, our half of the connection is closed, and the service's close,
  // which says that it has read everything, is waited for. To be called again until it is true.
  bool finish();

  // Connections that were reset, each of which may have cost lines.
  [[nodiscard]] std::uint64_t resets() const { return resets_; }

 private:
  Result<void> connect();
  Result<void> receive(const Take& take);
  void take_arrived();
  void lose(const std::optional<Error>& error);
  [[nodiscard]] std::string where() const { return io::print_endpoint(settings_.service); }

  LinkSettings settings_;
  cli::Report& report_;
  io::Connector connector_;
  LineBuffer lines_;
  io::Descriptor socket_;
  bool was_connected_ = false;
  bool closed_by_service_ = false;  // the connection before, and no attempt has failed since
  bool outage_told_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
  std::uint64_t sent_on_this_ = 0;
  unsigned failures_ = 0;
  std::uint64_t resets_ = 0;
  MonotonicTime connected_since_{};
  MonotonicTime half_closed_since_{};
  MonotonicTime next_attempt_{};
  std::string received_;  // a line that has begun
  record::LineCutter cutter_;
  std::array<char, 65536> block_;
};

}  // namespace fieldpipe::uplink_client
