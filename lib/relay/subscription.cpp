// SPDX-License-Identifier: MIT
#include "relay/subscription.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/backoff.h"
#include "core/text.h"
#include "memfault/identity.h"
#include "mqtt/reason.h"

namespace fieldpipe::relay {
namespace {

// Messages between two looks at everything else: each may be as large as the connection allows.
constexpr std::size_t kMostMessages = 64;

constexpr int kQos = 1;

}  // namespace

Result<std::unique_ptr<Source>> Subscription::create(SubscriptionSettings settings, cli::Report& report) {
  std::unique_ptr<Subscription> subscription(new Subscription(std::move(settings), report));
  const auto splay = subscription->settings_.startup_splay;
  if (splay.count() > 0) {
    subscription->next_attempt_ =
        monotonic_now() + std::chrono::duration_cast<std::chrono::nanoseconds>(random_fraction() * splay);
  } else if (auto connected = subscription->connect(); !connected) {
    return fail(std::move(connected));
  }
  return subscription;
}

Subscription::Subscription(SubscriptionSettings settings, cli::Report& report)
    : settings_(std::move(settings)), report_(report) {
  settings_.connection.patient = true;
}

void Subscription::watch(io::Loop& loop) const {
  if (client_) client_->watch(loop);
}

std::optional<MonotonicTime> Subscription::deadline() const {
  if (!client_) return next_attempt_;
  return waiting_ ? MonotonicTime{} : client_->deadline();
}

Result<bool> Subscription::turn(const io::Loop& loop, Door& door) {
  if (!client_) {
    if (monotonic_now() < next_attempt_) return false;
    if (auto connected = connect(); !connected) return fail(std::move(connected));
  }
  if (client_->received().empty()) {
    if (auto handled = client_->handle(loop, kMostMessages); !handled) {
      tell_notices();
      put_off(handled.error());
      return false;
    }
  }
  tell_notices();
  if (auto noted = note_connection(); !noted) return fail(std::move(noted));
  if (auto checked = check_grants(); !checked) return fail(std::move(checked));
  const bool any = !client_->received().empty();
  if (auto handed = hand_in(door); !handed) return fail(std::move(handed));
  return any;
}

// A broker that refuses us may be told to take us again; until then, what we hold is still delivered.
void Subscription::put_off(const Error& error) {
  client_.reset();
  handed_in_ = 0;
  waiting_ = false;
  const auto pause = settings_.backoff.wait(Verdict::kCredential, false, refusals_++, random_fraction());
  next_attempt_ = monotonic_now() + pause;
  report_.warn(fmt::format("{}, trying again in {}", error.what,
                           print_duration(std::chrono::ceil<std::chrono::milliseconds>(pause))));
}

Result<void> Subscription::connect() {
  auto client = mqtt::Client::create(settings_.connection, settings_.trace);
  if (!client) return fail(std::move(client));
  client_ = *std::move(client);
  subscribed_on_ = 0;
  return {};
}

Result<void> Subscription::note_connection() {
  if (!client_->connected() || client_->connections() == subscribed_on_) return {};
  // What was waiting in the session is gone. The first connection of a process may also be the first of all.
  if (connections_++ > 0 && !client_->session_present()) {
    ++sessions_lost_;
    report_.warn("the broker has forgotten the session: messages may be lost");
  }
  subscribed_on_ = client_->connections();
  refusals_ = 0;
  return client_->subscribe(std::array{settings_.topic.filter()}, kQos, mqtt::Client::kNoOption, {});
}

Result<void> Subscription::check_grants() {
  for (const mqtt::Grant& grant : client_->grants()) {
    const std::string what = fmt::format("subscribing to '{}'", printable(grant.filter));
    if (grant.granted >= mqtt::kFirstFailure) {
      Error error = mqtt::reason_error(grant.granted);
      if (error.code != ErrorCode::kUnavailable) error.code = ErrorCode::kRefused;
      return tl::make_unexpected(std::move(error).in(what));
    }
    if (grant.granted < kQos) {
      return fail(ErrorCode::kRefused, fmt::format("{}: the broker grants QoS 0, not {}", what, kQos));
    }
    report_.say(fmt::format("subscribed to {}", grant.filter));
  }
  client_->grants().clear();
  return {};
}

Result<void> Subscription::hand_in(Door& door) {
  auto& received = client_->received();
  for (; handed_in_ < received.size() && door.open(); ++handed_in_) {
    if (auto handed = hand_in(received[handed_in_], door); !handed) return handed;
  }
  waiting_ = handed_in_ < received.size();
  if (waiting_) return {};
  received.clear();
  handed_in_ = 0;
  return {};
}

Result<void> Subscription::hand_in(const mqtt::Received& message, Door& door) {
  // The replay of a chunk that was there before the subscription.
  if (message.retain) return ++retained_, Result<void>();
  if (message.qos == 0) ++unprotected_;
  Incoming record;
  record.chunk = message.payload;
  if (const auto match = settings_.topic.match(message.topic)) {
    record.device = match->device;
    record.project_key = match->project_key;
  } else {
    record.refusal = "bad-topic";
  }
  return door.take(record);
}

void Subscription::acknowledge() {
  // What is still to be handed in has its acknowledgement in the same queue.
  if (client_ && client_->received().empty()) client_->write();
}

Result<void> Subscription::leave(io::Loop& loop, bool complete) {
  if (!client_ || !client_->connected()) return {};
  auto left = complete && client_->received().empty() ? client_->barrier(loop) : client_->abandon(loop);
  client_.reset();
  return left;
}

std::string Subscription::state() const {
  return client_ && client_->connected() ? "connected to the broker" : "waiting for the broker";
}

void Subscription::add_metrics(Metrics& metrics) const {
  metrics.counter("mqtt_connects_total", "connections to the broker", connections_);
  metrics.counter("mqtt_session_lost_total", "connections on which the broker had forgotten the session",
                  sessions_lost_);
  metrics.counter("mqtt_retained_ignored_total", "retained messages, which are replays", retained_);
  metrics.counter("mqtt_unprotected_total", "messages published at QoS 0, which a crash may lose", unprotected_);
}

void Subscription::tell_notices() {
  // A trace shows topics, and these hold keys.
  for (const std::string& notice : client_->notices()) report_.warn(memfault::without_project_keys(notice));
  client_->notices().clear();
}

}  // namespace fieldpipe::relay
