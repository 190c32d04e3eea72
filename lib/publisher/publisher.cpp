// SPDX-License-Identifier: MIT
#include "publisher/publisher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "mqtt/reason.h"

namespace fieldpipe::publisher {
namespace {

// Packet ids are 16 bits and the library does not look whether one is in use.
constexpr std::uint64_t kMostOpenRecords = 60000;

// A record over which the broker closes this often will not be taken the next time either.
constexpr std::uint64_t kMostCloses = 3;

// A close after a longer time than this has another reason than the record sent first.
constexpr std::chrono::seconds kPromptly{10};

// A stop signal often goes to a whole pipeline: what its other end still hands over on its way out is not to be lost,
// but an input that does not end must not hold the end up.
constexpr std::chrono::seconds kInputAfterStop{1};

// Refusals that are reported one by one; the rest is counted.
constexpr std::uint64_t kMostReports = 10;

constexpr int kNotAuthorized = 0x87;
constexpr int kTopicNameInvalid = 0x90;
}  // namespace

Publisher::Publisher(mqtt::Client& client, Settings settings, cli::Report& report)
    : client_(client), settings_(std::move(settings)), report_(report), pace_(settings_.messages_per_second) {}

Result<void> Publisher::run(io::Loop& loop, Source& source) {
  Result<void> ran;
  while (ran && (reading_ || !pending_.empty())) ran = turn(loop, source);
  if (ran) ran = finish(loop);
  tell_notices();
  if (source_error_) report_.fail(*source_error_);
  if (refused_ > kMostReports) report_.warn(fmt::format("{} messages were refused", refused_));
  if (ran && unconfirmed_ > 0) {
    ran = fail(ErrorCode::kUnavailable,
               fmt::format("{} messages of QoS 0 went out on a connection that broke", unconfirmed_), "-q 1");
  }
  // Without a single record there is nothing to account for.
  if (!ran && read_ > 0) {
    Error error = std::move(ran).error();
    error.what += fmt::format("; {}", counts());
    return tl::make_unexpected(std::move(error));
  }
  return ran;
}

Result<void> Publisher::turn(io::Loop& loop, Source& source) {
  if (auto filled = fill(source); !filled) return filled;
  client_.write();
  settle();  // QoS 0 is done when it is written
  tell_notices();
  if (!reading_ && pending_.empty()) return {};

  const bool wants_input = reading_ && client_.connected() && has_room();
  MonotonicTime wake = client_.deadline();
  if (wants_input && !source_is_dry_) wake = std::min(wake, pace_.next());
  if (wants_input && source.ready_at()) wake = std::min(wake, *source.ready_at());
  if (settings_.deadline) wake = std::min(wake, *settings_.deadline);
  if (reading_ && input_ends_) wake = std::min(wake, *input_ends_);
  client_.watch(loop);
  if (wants_input && source_is_dry_) loop.watch(source.descriptor(), POLLIN);
  if (auto waited = loop.wait(wake); !waited) return waited;
  if (loop.stop_signal() && !input_ends_) {
    const MonotonicTime now = monotonic_now();
    input_ends_ = now + std::min<MonotonicTime::duration>(kInputAfterStop, (loop.stop_deadline() - now) / 2);
  }
  if (input_ends_ && monotonic_now() >= *input_ends_) reading_ = false;
  if (wants_input && source_is_dry_ && loop.ready(source.descriptor(), POLLIN)) {
    if (auto read = source.read_more(); !read) {
      source_error_ = std::move(read).error();
      reading_ = false;
    }
  }
  if (auto handled = client_.handle(loop, SIZE_MAX); !handled) return handled;
  client_.received().clear();  // a session may still hold subscriptions of an earlier user
  settle();
  if (auto noted = note_connection(); !noted) return noted;
  if (settings_.deadline && monotonic_now() >= *settings_.deadline) {
    return fail(ErrorCode::kUnavailable, "the deadline has passed");
  }
  return {};
}

Result<void> Publisher::fill(Source& source) {
  while (reading_ && client_.connected() && has_room()) {
    const MonotonicTime now = monotonic_now();
    if (now < pace_.next()) return {};
    auto record = source.next();
    if (!record) {
      source_error_ = std::move(record).error();
      reading_ = false;
      return {};
    }
    source_is_dry_ = !*record;
    if (source_is_dry_) {
      if (source.at_end()) reading_ = false;
      return {};
    }
    ++read_;
    pace_.spend(now);
    if (auto published = publish(**record, source.count()); !published) return published;
  }
  return {};
}

Result<void> Publisher::publish(const Record& record, std::uint64_t number) {
  const mqtt::Properties* properties = &settings_.properties;
  mqtt::Properties both;
  if (!record.properties.empty()) {
    both = settings_.properties;
    both.insert(both.end(), record.properties.begin(), record.properties.end());
    properties = &both;
  }
  const int qos = record.qos.value_or(settings_.qos);
  const auto packet_id = client_.publish({record.topic != nullptr ? *record.topic : settings_.topic, record.payload,
                                          qos, record.retain.value_or(settings_.retain), properties});
  if (!packet_id) {
    // A topic in the data is data, not usage.
    Error error = packet_id.error();
    if (error.code == ErrorCode::kUsage) error.code = ErrorCode::kBadData;
    refuse(number, std::move(error));
    return {};
  }
  ++published_;
  pending_bytes_ += record.payload.size();
  pending_.push_back({*packet_id, qos, number, record.payload.size()});
  return {};
}

bool Publisher::has_room() const {
  if (pending_.empty()) return true;
  return pending_.size() < client_.send_window() && pending_bytes_ < settings_.window_bytes &&
         read_ - pending_.front().record < kMostOpenRecords;
}

void Publisher::settle() {
  for (const mqtt::Acknowledgement& acknowledgement : client_.acknowledged()) {
    // They come in the order of the publishes, so it is the first one.
    const auto found = std::find_if(pending_.begin(), pending_.end(),
                                    [&](const Pending& p) { return p.packet_id == acknowledgement.packet_id; });
    if (found == pending_.end()) continue;
    if (acknowledgement.reason >= mqtt::kFirstFailure) {
      Error error = mqtt::reason_error(acknowledgement.reason);
      const bool topic = acknowledgement.reason == kNotAuthorized || acknowledgement.reason == kTopicNameInvalid;
      if (error.code != ErrorCode::kUnavailable) error.code = ErrorCode::kRefused;
      // What holds for the topic of all records holds for the records to come.
      if ((topic && !settings_.topic.empty()) || error.code == ErrorCode::kUnavailable) reading_ = false;
      refuse(found->record, std::move(error).in("refused by the broker"));
    } else {
      ++acknowledged_;
      if (found->qos == 0) ++handed_over_;
    }
    pending_bytes_ -= found->bytes;
    pending_.erase(found);
  }
  client_.acknowledged().clear();
}

void Publisher::refuse(std::uint64_t record, Error error) {
  if (++refused_ <= kMostReports) report_.fail(std::move(error).in(fmt::format("record {}", record)));
}

// Looks whether the connection broke since the last turn, and what that means for what was under way.
Result<void> Publisher::note_connection() {
  const bool was_connected = std::exchange(was_connected_, client_.connected());
  if (!was_connected && was_connected_) connected_since_ = monotonic_now();
  if (!was_connected && was_connected_ && client_.connections() == 1) report_.say("connected");
  if (!was_connected || was_connected_) return {};
  doubt_handed_over();
  std::erase_if(pending_, [this](const Pending& p) {
    if (p.qos > 0) return false;  // the library sends it again
    ++unconfirmed_;
    pending_bytes_ -= p.bytes;
    return true;
  });
  if (pending_.empty()) return {};
  const Pending& oldest = pending_.front();
  if (monotonic_now() - connected_since_ > kPromptly) closes_ = 0;
  closes_ = oldest.record == std::exchange(oldest_, oldest.record) ? closes_ + 1 : 1;
  if (closes_ < kMostCloses) return {};
  return fail(ErrorCode::kRefused, fmt::format("record {}: the broker closed the connection {} times over its {} bytes",
                                               oldest.record, closes_, oldest.bytes));
}

void Publisher::doubt_handed_over() {
  acknowledged_ -= handed_over_;
  unconfirmed_ += std::exchange(handed_over_, 0);
}

Result<void> Publisher::finish(io::Loop& loop) {
  if (handed_over_ > 0) {
    // QoS 0 has no acknowledgement; that the broker has read it all can still be known.
    if (auto confirmed = client_.barrier(loop); !confirmed) {
      doubt_handed_over();
      return confirmed;
    }
  }
  return client_.disconnect(loop);
}

void Publisher::tell_notices() {
  for (const std::string& notice : client_.notices()) report_.warn(notice);
  client_.notices().clear();
}

std::string Publisher::counts() const {
  return fmt::format("{} read, {} published, {} acknowledged, {} refused", read_, published_, acknowledged_, refused_);
}

}  // namespace fieldpipe::publisher
