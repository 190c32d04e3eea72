// SPDX-License-Identifier: MIT
#include "publisher/publisher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
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

Result<void> Publisher::run(io::Loop& loop, Supply& supply) {
  Result<void> ran;
  while (ran && (reading_ || !pending_.empty())) {
    ran = turn(loop, supply);
    // What is kept can wait for another run, and a stop signal cannot.
    if (!reading_ && supply.keeps() && !client_.connected()) break;
  }
  if (ran) ran = finish(loop);
  tell_notices();
  if (supply_error_) report_.fail(*supply_error_);
  if (refused_ > kMostReports) report_.warn(fmt::format("{} messages were refused", refused_));
  if (ran && unconfirmed_ > 0) {
    ran = fail(ErrorCode::kUnavailable,
               fmt::format("{} messages of QoS 0 went out on a connection that broke", unconfirmed_), "-q 1");
  }
  if (const std::uint64_t kept = supply.kept(); kept > 0) {
    if (ran) ran = fail(ErrorCode::kUnavailable, "not all is delivered");
    ran.error().what += fmt::format("; {} records are kept in the spool", kept);
    if (postponed_ && ran.error().code == ErrorCode::kUnavailable) ran.error().code = postponed_->code;
  }
  // Without a single record there is nothing to account for.
  if (!ran && read_ > 0) {
    Error error = std::move(ran).error();
    error.what += fmt::format("; {}", counts());
    return tl::make_unexpected(std::move(error));
  }
  return ran;
}

Result<void> Publisher::turn(io::Loop& loop, Supply& supply) {
  if (auto filled = fill(supply); !filled) return filled;
  client_.write();
  settle(supply);  // QoS 0 is done when it is written
  tell_notices();
  if (!reading_ && pending_.empty()) return {};

  const bool wants_record = reading_ && client_.connected() && has_room();
  const int input = supply.keeps() ? (reading_ ? supply.descriptor() : -1)
                                   : (wants_record && supply_is_dry_ ? supply.descriptor() : -1);
  client_.watch(loop);
  loop.watch(input, POLLIN);
  if (auto waited = loop.wait(wake(supply, wants_record)); !waited) return waited;
  if (loop.stop_signal() && !input_ends_) {
    const MonotonicTime now = monotonic_now();
    input_ends_ = now + std::min<MonotonicTime::duration>(kInputAfterStop, (loop.stop_deadline() - now) / 2);
  }
  if (input_ends_ && monotonic_now() >= *input_ends_) reading_ = false;
  if (loop.ready(input, POLLIN)) {
    if (auto read = supply.read_more(); !read) {
      supply_error_ = std::move(read).error();
      reading_ = false;
    }
  }
  if (reading_) supply.take_in();
  if (auto handled = client_.handle(loop, SIZE_MAX); !handled) return handled;
  client_.received().clear();  // a session may still hold subscriptions of an earlier user
  settle(supply);
  if (auto noted = note_connection(supply); !noted) return noted;
  return check_time(supply);
}

// Until when to wait at most.
MonotonicTime Publisher::wake(const Supply& supply, bool wants_record) const {
  MonotonicTime wake = client_.deadline();
  if (wants_record && !supply_is_dry_) wake = std::min(wake, pace_.next());
  if (wants_record || (reading_ && supply.keeps())) wake = std::min(wake, supply.ready_at().value_or(wake));
  for (const auto& limit : {settings_.deadline, drain_ends_}) wake = std::min(wake, limit.value_or(wake));
  if (reading_) wake = std::min(wake, input_ends_.value_or(wake));
  return wake;
}

Result<void> Publisher::check_time(const Supply& supply) {
  const MonotonicTime now = monotonic_now();
  if (settings_.deadline && now >= *settings_.deadline) {
    return fail(ErrorCode::kUnavailable, "the deadline has passed");
  }
  if (!settings_.drain_timeout || !supply.input_ended()) return {};
  if (!drain_ends_) drain_ends_ = now + *settings_.drain_timeout;
  if (now < *drain_ends_) return {};
  return fail(ErrorCode::kUnavailable,
              fmt::format("not all is delivered {} after the end of input", print_duration(*settings_.drain_timeout)));
}

Result<void> Publisher::fill(Supply& supply) {
  // What keeps its records may have none although there never was a connection.
  if (supply.keeps() && supply.at_end()) reading_ = false;
  while (reading_ && client_.connected() && has_room()) {
    const MonotonicTime now = monotonic_now();
    if (now < pace_.next()) return {};
    auto record = supply.next();
    if (!record) {
      supply_error_ = std::move(record).error();
      reading_ = false;
      return {};
    }
    supply_is_dry_ = !*record;
    if (supply_is_dry_) {
      if (supply.at_end()) reading_ = false;
      return {};
    }
    ++read_;
    pace_.spend(now);
    publish(**record, supply);
  }
  return {};
}

void Publisher::publish(const Record& record, Supply& supply) {
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
    if (error.code == ErrorCode::kUnavailable && supply.take_back(supply.number())) return;
    refuse(supply.number(), std::move(error), supply);
    return;
  }
  ++published_;
  pending_bytes_ += record.payload.size();
  pending_.push_back({*packet_id, qos, supply.number(), published_, record.payload.size()});
}

bool Publisher::has_room() const {
  if (pending_.empty()) return true;
  return pending_.size() < client_.send_window() && pending_bytes_ < settings_.window_bytes &&
         published_ - pending_.front().nth < kMostOpenRecords;
}

void Publisher::settle(Supply& supply) {
  for (const mqtt::Acknowledgement& acknowledgement : client_.acknowledged()) {
    // They come in the order of the publishes, so it is the first one.
    const auto found = std::find_if(pending_.begin(), pending_.end(),
                                    [&](const Pending& p) { return p.packet_id == acknowledgement.packet_id; });
    if (found == pending_.end()) continue;
    if (acknowledgement.reason >= mqtt::kFirstFailure) {
      Error error = mqtt::reason_error(acknowledgement.reason);
      // What will pass, or holds for more than this record, is no reason to give up one that can be kept.
      const bool passes = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kDenied;
      if (passes && supply.take_back(found->record)) {
        postpone(found->record, std::move(error));
        pending_bytes_ -= found->bytes;
        pending_.erase(found);
        continue;
      }
      const bool topic = acknowledgement.reason == kNotAuthorized || acknowledgement.reason == kTopicNameInvalid;
      if (error.code != ErrorCode::kUnavailable) error.code = ErrorCode::kRefused;
      // What holds for the topic of all records holds for the records to come.
      if ((topic && !settings_.topic.empty()) || error.code == ErrorCode::kUnavailable) reading_ = false;
      refuse(found->record, std::move(error).in("refused by the broker"), supply);
    } else {
      ++acknowledged_;
      supply.acknowledged(found->record);
      postponed_.reset();
      if (found->qos == 0) ++handed_over_;
    }
    pending_bytes_ -= found->bytes;
    pending_.erase(found);
  }
  client_.acknowledged().clear();
}

void Publisher::refuse(std::uint64_t record, Error error, Supply& supply) {
  const bool is_kept = supply.set_aside(record, error);
  if (++refused_ > kMostReports) return;
  error = std::move(error).in(fmt::format("record {}", record));
  if (is_kept) {
    report_.partial(fmt::format("{}; it is a dead letter now", error.what));
  } else {
    report_.fail(error);
  }
}

void Publisher::postpone(std::uint64_t record, Error error) {
  if (!postponed_)
    report_.warn(fmt::format("record {}: not taken by the broker: {}; kept and tried again", record, error.what));
  postponed_ = std::move(error);
}

// Looks whether the connection broke since the last turn, and what that means for what was under way.
Result<void> Publisher::note_connection(Supply& supply) {
  const bool was_connected = std::exchange(was_connected_, client_.connected());
  if (!was_connected && was_connected_) connected_since_ = monotonic_now();
  if (!was_connected && was_connected_ && client_.connections() == 1) report_.say("connected");
  if (!was_connected || was_connected_) return {};
  doubt_handed_over();
  std::erase_if(pending_, [&](const Pending& p) {
    if (p.qos > 0) return false;  // the library sends it again
    if (!supply.take_back(p.record)) ++unconfirmed_;
    pending_bytes_ -= p.bytes;
    return true;
  });
  if (pending_.empty()) return {};
  const Pending& oldest = pending_.front();
  if (monotonic_now() - connected_since_ > kPromptly) closes_ = 0;
  closes_ = oldest.record == std::exchange(oldest_, oldest.record) ? closes_ + 1 : 1;
  if (closes_ < kMostCloses) return {};
  Error error{ErrorCode::kRefused,
              fmt::format("record {}: the broker closed the connection {} times over its {} bytes", oldest.record,
                          closes_, oldest.bytes),
              {},
              std::nullopt};
  // The library would send it again on each connection, so that is the end of this run; the next one goes on behind it.
  supply.set_aside(oldest.record, error);
  return tl::make_unexpected(std::move(error));
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
