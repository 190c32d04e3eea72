// SPDX-License-Identifier: MIT
// Chunks from an MQTT broker, each acknowledged to it only when it is on the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/report.h"
#include "memfault/topic.h"
#include "mqtt/client.h"
#include "relay/backoff.h"
#include "relay/source.h"

namespace fieldpipe::relay {

struct SubscriptionSettings {
  mqtt::Connection connection;
  memfault::TopicTemplate topic;
  Backoff backoff;                            // while the broker refuses us
  std::chrono::nanoseconds startup_splay{0};  // the first attempt comes up to so much later, by chance
  bool trace = false;
};

// Subscribes at QoS 1 on each connection, whatever the broker says it remembers. QoS 2 would protect less: with PUBREC
// the library becomes the only owner of a message that it has not shown to us yet, and after a crash the broker sends
// no more than PUBREL.
//
// Acknowledgements wait in the library until acknowledge(): nothing else writes. A broker that is not there, or refuses
// us, is tried again for ever; only a subscription that it does not grant ends the source, because what it delivers
// then would be lost in a crash.
class Subscription final : public Source {
 public:
  // Begins to connect. Fails as mqtt::Client::create does; with a splay, that is found in a later turn.
  static Result<std::unique_ptr<Source>> create(SubscriptionSettings settings, cli::Report& report);

  void watch(io::Loop& loop) const override;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const override;
  Result<bool> turn(const io::Loop& loop, Door& door) override;
  void acknowledge() override;
  [[nodiscard]] bool ended() const override { return stopped_; }
  void hurry() override { next_attempt_ = MonotonicTime{}; }
  void stop() override { stopped_ = true; }
  Result<void> leave(io::Loop& loop, bool complete) override;
  [[nodiscard]] std::string state() const override;
  void add_metrics(Metrics& metrics) const override;

 private:
  Subscription(SubscriptionSettings settings, cli::Report& report);

  Result<void> connect();
  void put_off(const Error& error);
  Result<void> note_connection();
  Result<void> check_grants();
  Result<void> hand_in(Door& door);
  Result<void> hand_in(const mqtt::Received& message, Door& door);
  void tell_notices();

  SubscriptionSettings settings_;
  cli::Report& report_;
  std::optional<mqtt::Client> client_;  // nothing for a while after the broker refused us
  MonotonicTime next_attempt_{};
  unsigned refusals_ = 0;  // in a row
  unsigned subscribed_on_ = 0;
  std::size_t handed_in_ = 0;  // of client_->received()
  bool waiting_ = false;       // there is more of it
  bool stopped_ = false;

  std::uint64_t connections_ = 0;
  std::uint64_t sessions_lost_ = 0;
  std::uint64_t retained_ = 0;
  std::uint64_t unprotected_ = 0;
};

}  // namespace fieldpipe::relay
