// SPDX-License-Identifier: MIT
// From records to messages that the broker has acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "mqtt/client.h"
#include "publisher/pace.h"
#include "publisher/supply.h"

namespace fieldpipe::publisher {

struct Settings {
  std::string topic;  // empty: each record brings its own
  int qos = 1;
  bool retain = false;
  mqtt::Properties properties;  // of every message, before those of its record
  // Payload bytes that may be unacknowledged; one message may exceed it alone. The library keeps each
  // message twice until it is acknowledged (once to send, once to send again).
  std::size_t window_bytes = std::size_t{2} << 20U;
  double messages_per_second = 0;                         // 0: no limit
  std::optional<MonotonicTime> deadline;                  // all must be acknowledged by then
  std::optional<std::chrono::nanoseconds> drain_timeout;  // the same, from the end of the input
};

// Publishes the records of a supply over a client. The window of unacknowledged messages is the
// client's send_window(); input is read only while there is room in it, so memory is bounded whatever
// the input and the broker do. It is refilled after each batch of acknowledgements, never later:
// waiting for half of it to be free costs a factor of thirty on a broker with Nagle's algorithm.
//
// A record that the broker refuses alone is reported with its number, and the rest goes on; a refused
// topic that all records share ends the input. A record over which the broker closes the connection
// three times in a row, as those before MQTT 5 do with one too large, ends the run. A supply that keeps its
// records is told of each of these, and is given up when there is no connection after a stop signal.
class Publisher {
 public:
  Publisher(mqtt::Client& client, Settings settings, cli::Report& report);

  // Runs until the supply has ended or a stop signal came, and all is acknowledged and the connection
  // closed. Fails, with the counts in the message, when it could not come to that: kUnavailable for
  // what is unacknowledged, kRefused and kDenied from the broker, kBadData and kIo from the supply.
  Result<void> run(io::Loop& loop, Supply& supply);

 private:
  struct Pending {
    int packet_id;
    int qos;
    std::uint64_t record;  // its number in the supply
    std::uint64_t nth;     // of all that were published
    std::size_t bytes;
  };

  Result<void> turn(io::Loop& loop, Supply& supply);
  [[nodiscard]] MonotonicTime wake(const Supply& supply, bool wants_record) const;
  Result<void> check_time(const Supply& supply);
  Result<void> fill(Supply& supply);
  void publish(const Record& record, Supply& supply);
  Result<void> finish(io::Loop& loop);
  void settle(Supply& supply);
  void doubt_handed_over();
  Result<void> note_connection(Supply& supply);
  void refuse(std::uint64_t record, Error error, Supply& supply);
  void postpone(std::uint64_t record, Error error);
  void tell_notices();
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::string counts() const;

  mqtt::Client& client_;
  Settings settings_;
  cli::Report& report_;
  Pace pace_;
  std::deque<Pending> pending_;
  std::size_t pending_bytes_ = 0;
  bool reading_ = true;
  bool supply_is_dry_ = false;  // nothing to publish without waiting for the supply
  std::optional<Error> supply_error_;
  std::optional<Error> postponed_;  // why the broker does not take records that it may take later
  bool was_connected_ = false;
  MonotonicTime connected_since_{};
  std::optional<MonotonicTime> input_ends_;  // after a stop signal
  std::optional<MonotonicTime> drain_ends_;  // after the end of the input

  std::uint64_t read_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t unconfirmed_ = 0;  // QoS 0: handed over to a connection that broke later
  std::uint64_t handed_over_ = 0;  // QoS 0: on this connection
  std::uint64_t closes_ = 0;       // in a row with `oldest_` as the oldest unacknowledged record
  std::uint64_t oldest_ = 0;
};

}  // namespace fieldpipe::publisher
