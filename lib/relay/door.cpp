// SPDX-License-Identifier: MIT
#include "relay/door.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"
#include "memfault/identity.h"
#include "relay/lane.h"

namespace fieldpipe::relay {
namespace {

// The one refusal that leaves no dead letter: it is the user's choice that these are dropped.
constexpr std::string_view kFull = "full";

// A share is a quarter, so that more lanes than these were over theirs at other times.
constexpr std::size_t kMostOverShare = 8;

}  // namespace

std::uint64_t DoorCounts::rejected_sum() const {
  return std::accumulate(rejected.begin(), rejected.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& reason) { return sum + reason.second; });
}

Door::Door(spool::Spool& spool, spool::DeadLetters& dead_letters, DoorSettings settings, std::string& out)
    : spool_(spool), dead_letters_(dead_letters), settings_(std::move(settings)), out_(out) {}

Result<void> Door::take(const Incoming& record) {
  if (record.anonymous && record.refusal.empty()) {
    if (auto checked = check_configured(); !checked) return checked;
  }
  if (batch_.empty()) oldest_ = monotonic_now();
  Record& to = batch_.emplace_back();
  to.number = ++counts_.received;
  to.time = wall_now();
  to.size_bytes = std::max<std::uint64_t>(record.size_bytes, record.chunk.size());
  check(record, to);
  const bool whole = to.reason.empty() || record.chunk.size() <= spool_.max_record_bytes();
  to.chunk = whole ? record.chunk : record.chunk.substr(0, spool::kKeptBytes);
  batch_bytes_ += to.chunk.size();
  return {};
}

Result<void> Door::check_configured() const {
  if (settings_.device.empty()) {
    return fail(ErrorCode::kUsage, "the input does not name its device", "--device SERIAL");
  }
  if (!settings_.has_key(settings_.device)) {
    return fail(ErrorCode::kDenied, "no project key", "--project-key-file FILE or MEMFAULT_PROJECT_KEY");
  }
  return {};
}

// Fills in the lane, or the reason why there is none for it.
void Door::check(const Incoming& from, Record& record) const {
  const std::string_view device = from.device.value_or(settings_.device);
  const bool known = memfault::check_device(device).has_value();
  const bool configured = known && settings_.has_key(device);
  const std::string_view key = configured ? std::string_view() : from.project_key.value_or(std::string_view());
  const bool keyed = configured || memfault::check_project_key(key).has_value();
  // A chunk that was refused for the want of a key can be queued again once there is one.
  if (known) record.lane = lane({device, {}, keyed ? key : std::string_view()});
  record.is_chunk =
      known && from.refusal.empty() && record.size_bytes > 0 && record.size_bytes <= spool_.max_record_bytes();
  record.detail = from.detail;
  if (!from.refusal.empty()) {
    record.reason = from.refusal;
  } else if (!known) {
    record.reason = "bad-device-id";
    record.detail = printable(device, 256);
  } else if (record.size_bytes == 0) {
    record.reason = "empty";
  } else if (record.size_bytes > spool_.max_record_bytes()) {
    record.reason = "oversize";
    record.detail = fmt::format("{} bytes, the limit is {}", record.size_bytes, spool_.max_record_bytes());
  } else if (!keyed) {
    record.reason = from.project_key ? "bad-key" : "no-key";
  }
}

bool Door::due() const {
  return !batch_.empty() &&
         (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchRecords || monotonic_now() >= oldest_ + kBatchAge);
}

Result<void> Door::commit() {
  if (batch_.empty()) return {};
  const std::uint64_t before = spool_.statistics().accepted;
  auto stored = append();
  // Also after a failure: what fitted is in hand of the spool.
  if (auto committed = spool_.commit(); stored && !committed) stored = std::move(committed);
  mark_stored(spool_.statistics().accepted - before);
  if (auto settled = settle(); stored && !settled) stored = std::move(settled);
  blocked_ = !stored && stored.error().code == ErrorCode::kUnavailable;
  if (!blocked_) return stored;
  blocked_by_ = std::move(stored).error().what;
  return {};
}

// The first `count` of the records that were appended are in the spool.
void Door::mark_stored(std::uint64_t count) {
  for (auto record = batch_.begin(); record != batch_.end() && count > 0; ++record) {
    if (!record->reason.empty() || record->stored) continue;
    record->stored = true;
    --count;
  }
}

// Appends what is wanted of the batch, up to the first record for which there is no room.
Result<void> Door::append() {
  for (Record& record : batch_) {
    if (!record.reason.empty() || record.stored) continue;
    const auto sequence = spool_.append(record.lane, as_bytes(record.chunk), record.time);
    if (sequence) {
      record.sequence = *sequence;
      continue;
    }
    const Error& error = sequence.error();
    const bool full = error.code == ErrorCode::kUnavailable;
    const auto held = error.code == ErrorCode::kRefused ? spool_.find_lane(record.lane) : std::nullopt;
    if ((full || held) && settings_.on_full == spool::OnFull::kDropNewest) {
      record.reason = kFull;
    } else if (held && !is_stuck(*held)) {
      return fail(ErrorCode::kUnavailable, fmt::format("the spool is full but for other devices: {}", error.what));
    } else if (error.code == ErrorCode::kRefused) {
      record.reason = held ? "over-share" : "too-many-devices";
      record.detail = error.what;
    } else {
      return fail(Result<spool::Sequence>(sequence));
    }
  }
  return {};
}

// Whether the lane, which is over its share, is alone in that nothing of it is delivered.
bool Door::is_stuck(const spool::LaneSummary& lane) {
  const MonotonicTime now = monotonic_now();
  const std::uint64_t delivered = spool_.statistics().delivered;
  if (over_share_.size() > kMostOverShare) over_share_.clear();
  OverShare& seen = over_share_[std::string(lane.lane)];
  if (seen.first != lane.first) seen = {lane.first, delivered, now, false};
  if (!seen.stuck) seen.stuck = delivered > seen.delivered && now >= seen.since + kShareGrace;
  return seen.stuck;
}

// Answers the records from the first on until one that is neither in the spool nor kept as a dead letter, and forgets
// them. The sequence matters: a sender may count answers.
Result<void> Door::settle() {
  Result<void> buried;
  auto end = batch_.begin();
  auto first_buried = batch_.end();
  for (; end != batch_.end(); ++end) {
    if (end->reason.empty()) {
      if (!end->stored) break;
    } else if (end->reason != kFull) {
      if (buried = bury(*end); !buried) break;
      first_buried = std::min(first_buried, end);
    }
  }
  // One sync for all of them: who sends nothing but rubbish must not keep everybody else waiting.
  if (first_buried != batch_.end()) {
    if (auto committed = dead_letters_.commit(); !committed) buried = std::move(committed);
    // A failure may have taken along what was in hand of the dead letters: a second one of these is better than none.
    if (!buried) end = first_buried;
  }
  for (auto at = batch_.begin(); at != end; ++at) {
    answer(*at);
    batch_bytes_ -= at->chunk.size();
  }
  batch_.erase(batch_.begin(), end);
  return buried;
}

Result<void> Door::bury(const Record& record) {
  return dead_letters_.append(
      record.lane, {0, record.time, record.reason, record.detail, record.size_bytes, record.chunk, record.is_chunk});
}

void Door::answer(const Record& record) {
  const bool accepted = record.reason.empty();
  if (accepted) {
    ++counts_.accepted;
  } else {
    ++counts_.rejected[record.reason];
  }
  if (!settings_.answers) return;
  out_.append(R"({"ack":)");
  json::append_integer(out_, record.number);
  if (accepted) {
    out_.append(R"(,"sequence":)");
    json::append_integer(out_, record.sequence);
  } else {
    out_.append(R"(,"error":)");
    json::append_string(out_, record.reason);
  }
  out_.append("}\n");
}

}  // namespace fieldpipe::relay
