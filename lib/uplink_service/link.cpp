// SPDX-License-Identifier: MIT
#include "uplink_service/link.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/backoff.h"
#include "core/bytes.h"
#include "core/text.h"
#include "mqtt/reason.h"

namespace fieldpipe::uplink_service {
namespace {

// Actions a turn: not more than wait for an application, so that one that reads has them all.
constexpr std::size_t kMostReceived = 10;

// After a refusal by the broker, besides the delay of other attempts. A device that it does not know it may know later.
constexpr std::chrono::seconds kRefusedPause{30};

}  // namespace

void Link::watch(io::Loop& loop) const {
  if (client_) client_->watch(loop);
}

MonotonicTime Link::deadline() const { return client_ ? client_->deadline() : next_attempt_; }

Result<void> Link::handle(const io::Loop& loop) {
  if (!client_) {
    if (monotonic_now() < next_attempt_) return {};
    auto client = mqtt::Client::create(connection_);
    if (!client) return fail(std::move(client));
    client_.emplace(*std::move(client));
    subscribed_ = 0;
  }
  auto handled = client_->handle(loop, kMostReceived);
  tell_notices();
  settle();
  for (mqtt::Received& message : client_->received()) {
    if (message.topic == subscription_) received_.push_back(std::move(message.payload));
  }
  client_->received().clear();
  if (!handled) {
    give_up(handled.error());
    return {};
  }
  for (const mqtt::Grant& grant : client_->grants()) {
    if (grant.granted >= mqtt::kFirstFailure) {
      report_.warn(fmt::format("the broker does not grant the subscription to {}: no actions come",
                               printable(grant.filter, 200)));
    }
  }
  client_->grants().clear();
  if (client_->connected() && client_->connections() != subscribed_) subscribe();
  return {};
}

void Link::subscribe() {
  subscribed_ = client_->connections();
  ++connects_;
  failures_ = 0;
  if (connects_ == 1 || subscribed_ == 1) report_.say("connected");
  outage_told_ = false;
  const std::array filters{subscription_};
  if (auto subscribed = client_->subscribe(filters, 1, mqtt::Client::kNoOption, {}); !subscribed) {
    report_.warn(subscribed.error().what);
  }
}

bool Link::has_room() const {
  return connected() &&
         (under_way_.empty() || (under_way_.size() < client_->send_window() && under_way_bytes_ < kWindowBytes));
}

void Link::publish(Ticket ticket) {
  const std::string& payload = ticket.message.payload;
  const auto packet_id = client_->publish({ticket.stream->topic(), as_bytes(payload), 1, false, nullptr});
  if (!packet_id) {
    ++refused_;
    report_.warn(fmt::format("stream {}: message of {} bytes: {}", printable(ticket.stream->settings().name),
                             payload.size(), packet_id.error().what));
    settled_.push_back({std::move(ticket), false});
    return;
  }
  const std::size_t bytes = payload.size();
  under_way_bytes_ += bytes;
  if (ticket.message.range.last != 0) std::string().swap(ticket.message.payload);
  under_way_.push_back({*packet_id, bytes, std::move(ticket)});
}

void Link::settle() {
  settled_.reserve(settled_.size() + client_->acknowledged().size());
  for (const mqtt::Acknowledgement& acknowledgement : client_->acknowledged()) {
    // They come in the order of the publishes, so it is the first one.
    const auto found = std::find_if(under_way_.begin(), under_way_.end(), [&](const UnderWay& message) {
      return message.packet_id == acknowledgement.packet_id;
    });
    if (found == under_way_.end()) continue;
    under_way_bytes_ -= found->bytes;
    settled_.push_back({std::move(found->ticket), true});
    under_way_.erase(found);
  }
  client_->acknowledged().clear();
}

void Link::tell_notices() {
  for (const std::string& notice : client_->notices()) {
    const bool is_attempt = notice.starts_with("cannot connect");
    if (is_attempt && std::exchange(outage_told_, true)) {
      report_.say(notice);
    } else {
      report_.warn(notice);
    }
    if (notice.starts_with("connection lost")) outage_told_ = true;
  }
  client_->notices().clear();
}

void Link::give_up(const Error& error) {
  const auto delay = kRefusedPause + backoff(failures_++, random_fraction());
  report_.warn(fmt::format("{}, trying again in {}", error.what, print_duration(delay)));
  if (!error.hint.empty()) report_.warn(fmt::format("hint: {}", error.hint));
  for (UnderWay& message : under_way_) restarted_.push_back(std::move(message.ticket));
  under_way_.clear();
  under_way_bytes_ = 0;
  client_.reset();
  next_attempt_ = monotonic_now() + delay;
}

std::vector<std::string> Link::take_received() { return std::exchange(received_, {}); }
std::vector<Link::Settled> Link::take_settled() { return std::exchange(settled_, {}); }
std::vector<Ticket> Link::take_restarted() { return std::exchange(restarted_, {}); }

}  // namespace fieldpipe::uplink_service
