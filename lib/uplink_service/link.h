// SPDX-License-Identifier: MIT
// The connection to the broker as a service needs it: it never gives up, and knows what is under way.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "mqtt/client.h"
#include "uplink_service/streams.h"

namespace fieldpipe::uplink_service {

// mqtt::Client makes a lost connection again, and sends again what is not acknowledged. It gives up where the broker
// refuses; then a new one is made after a while, and what was under way starts over (take_restarted()).
class Link {
 public:
  // What may be unacknowledged at a time; the library keeps it twice.
  static constexpr std::size_t kWindowBytes = std::size_t{2} << 20U;

  // `subscription` is a topic, not a filter: messages under others are not handed on.
  Link(mqtt::Connection connection, std::string subscription, cli::Report& report)
      : connection_(std::move(connection)), subscription_(std::move(subscription)), report_(report) {}

  // Registers what it waits for, and until when at most.
  void watch(io::Loop& loop) const;
  [[nodiscard]] MonotonicTime deadline() const;

  // One turn. Fails where no attempt could ever work: a certificate that is none, a client id that is none.
  Result<void> handle(const io::Loop& loop);

  [[nodiscard]] bool connected() const { return client_ && client_->connected(); }
  [[nodiscard]] bool has_room() const;

  // Sends a message at QoS 1. There is room.
  void publish(Ticket ticket);

  // What the broker has sent since the last call.
  std::vector<std::string> take_received();

  // What it has acknowledged, or will never take.
  struct Settled {
    Ticket ticket;
    bool delivered;
  };
  std::vector<Settled> take_settled();

  // Messages of a client that is given up, in the order in which they were sent.
  std::vector<Ticket> take_restarted();

  // Lets everything go that was queued, acknowledgements of received messages among it.
  void write() {
    if (client_) client_->write();
  }
  Result<void> disconnect(io::Loop& loop) { return connected() ? client_->disconnect(loop) : Result<void>(); }

  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }
  [[nodiscard]] std::uint64_t connects() const { return connects_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct UnderWay {
    int packet_id;
    std::size_t bytes;
    Ticket ticket;
  };

  void subscribe();
  void settle();
  void tell_notices();
  void give_up(const Error& error);

  mqtt::Connection connection_;
  std::string subscription_;
  cli::Report& report_;
  std::optional<mqtt::Client> client_;
  MonotonicTime next_attempt_{};
  unsigned failures_ = 0;
  unsigned subscribed_ = 0;   // connections of the client so far that were subscribed on
  bool outage_told_ = false;  // attempts of one outage are told once
  std::deque<UnderWay> under_way_;
  std::size_t under_way_bytes_ = 0;
  std::vector<std::string> received_;
  std::vector<Settled> settled_;
  std::vector<Ticket> restarted_;
  std::uint64_t connects_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace fieldpipe::uplink_service
