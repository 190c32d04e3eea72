// SPDX-License-Identifier: MIT
// From messages to records on stdout, each acknowledged only after it was written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/output.h"
#include "json/reader.h"
#include "mqtt/client.h"
#include "record/framing.h"
#include "subscriber/format.h"

namespace fieldpipe::subscriber {

struct Settings {
  std::vector<std::string> filters;
  std::vector<std::string> unwanted;      // filters of topics not to print
  std::vector<std::string> unsubscribed;  // filters to take out of the session
  int qos = 1;
  mqtt::Properties subscribe_properties;
  mqtt::Properties unsubscribe_properties;
  bool retain_as_published = false;
  bool keeps_session = false;  // what we do not acknowledge comes again

  std::optional<record::Framing> to = record::Framing::kLines;  // nothing: envelopes
  std::optional<Format> format;                                 // instead of `to`
  bool show_topic = false;
  bool no_newline = false;

  bool no_retained = false;
  bool retained_only = false;
  bool remove_retained = false;
  bool leave_when_subscribed = false;
  std::optional<std::uint64_t> count;
  std::optional<MonotonicTime> deadline;
  std::optional<std::chrono::nanoseconds> idle_timeout;
};

// Subscribes on each connection, prints what comes, and acknowledges it.
//
// What leaves a session that is kept is exactly what was written: with a count, no message behind the
// last one is taken; when the reader of a pipe goes away, what it had not read from the pipe is not
// acknowledged. The latter holds for the first kCarefulRecords records, which are handed over one by
// one; later ones go in blocks and are acknowledged when they are in the pipe.
class Subscriber {
 public:
  static constexpr std::uint64_t kCarefulRecords = 1000;

  Subscriber(mqtt::Client& client, Settings settings, cli::Report& report);

  // Runs until the count is reached, a time limit passes or a stop signal comes. Fails with kBadData
  // for a payload that the form of output cannot hold, kReaderGone and kIo from `out`, kRefused for a
  // refused subscription, kUnavailable when a time limit passes before the count is reached.
  Result<void> run(io::Loop& loop, io::Output& out);

 private:
  enum class Next : std::uint8_t { kGoOn, kLeave, kLeaveUnacknowledged };

  Result<Next> turn(io::Loop& loop, io::Output& out);
  Result<Next> check_time();
  Result<void> leave(io::Loop& loop);
  Result<void> subscribe();
  Result<void> check_grants();
  Result<Next> print(io::Loop& loop, io::Output& out);
  Result<void> append(std::string& out, mqtt::Received& message, WallTime at);
  Result<void> append_line(std::string& out, const mqtt::Received& message) const;
  Result<void> remove(const mqtt::Received& message);
  Result<void> hand_over(io::Loop& loop, io::Output& out);
  [[nodiscard]] bool is_careful() const;
  [[nodiscard]] std::size_t batch() const;
  [[nodiscard]] bool is_wanted(const mqtt::Received& message) const;

  mqtt::Client& client_;
  Settings settings_;
  cli::Report& report_;
  json::Reader reader_;
  unsigned subscribed_on_ = 0;  // number of the connection
  std::size_t granted_ = 0;     // filters, on this connection
  std::uint64_t printed_ = 0;
  MonotonicTime last_message_;
  bool careful_ = false;     // stdout is a pipe that says when it is empty
  int pipe_bytes_ = 0;       // its size before
  bool needs_text_ = false;  // stdout is a terminal
  bool reader_gone_ = false;
};

}  // namespace fieldpipe::subscriber
