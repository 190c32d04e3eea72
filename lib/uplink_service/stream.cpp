// SPDX-License-Identifier: MIT
#include "uplink_service/stream.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "lz4/frame.h"

namespace fieldpipe::uplink_service {
namespace {

// Fixed header, length of the topic and packet id of a PUBLISH, and what an LZ4 frame may add to text it cannot shrink.
constexpr std::size_t kPacketOverheadBytes = 64;

// What is read from the spool at a time.
constexpr std::size_t kFetchBytes = std::size_t{64} << 10U;
constexpr std::size_t kFetchRecords = 256;

uplink::BatchLimits limits_of(const uplink::StreamSettings& settings, std::size_t topic_bytes,
                              std::size_t packet_bytes) {
  const std::size_t overhead = topic_bytes + kPacketOverheadBytes;
  return {settings.batch_size, packet_bytes > overhead ? packet_bytes - overhead : 0};
}

}  // namespace

Stream::Stream(uplink::StreamSettings settings, std::string topic, std::size_t packet_bytes, bool live_first,
               spool::Spool* spool)
    : settings_(std::move(settings)),
      topic_(std::move(topic)),
      limits_(limits_of(settings_, topic_.size(), packet_bytes)),
      live_first_(live_first),
      spool_(spool),
      open_(limits_) {
  if (spool_ != nullptr) stored_ = unfinished();
}

Result<void> Stream::append(std::string_view point) {
  if (!open_.can_hold(point.size())) {
    return fail(ErrorCode::kBadData,
                fmt::format("a point of {} bytes, a message to {} holds {}", point.size(), topic_, limits_.bytes));
  }
  spool::Sequence sequence = 0;
  if (spool_ != nullptr) {
    auto appended = spool_->append(settings_.name, as_bytes(point));
    if (!appended) return fail(std::move(appended));
    sequence = *appended;
  }
  staged_.push_back({sequence, point.size()});
  staged_text_ += point;
  return {};
}

void Stream::accept(MonotonicTime now) {
  std::string_view text = staged_text_;
  for (const Staged& staged : staged_) {
    if (!open_.has_room(staged.size_bytes)) close(now);
    if (open_.empty()) {
      open_range_.first = staged.sequence;
      flush_at_ = now + settings_.flush_period;
    }
    open_.add(text.substr(0, staged.size_bytes));
    text.remove_prefix(staged.size_bytes);
    open_range_.last = staged.sequence;
    if (open_.full()) close(now);
  }
  staged_.clear();
  staged_text_.clear();
}

void Stream::discard() {
  staged_.clear();
  staged_text_.clear();
  if (spool_ != nullptr) give_up_text();
}

void Stream::push(std::string_view point) { unspooled_.push_back({fmt::format("[{}]", point), {}, 1}); }

// From here on everything that is not under way is read back from the spool, in its order.
void Stream::give_up_text() {
  settle();
  if (!open_.empty()) open_.take();
  flush_at_.reset();
  waiting_.clear();
  const std::size_t elsewhere = in_flight_points_ + fetched_.size();
  const std::size_t all = unfinished();
  stored_ = all - std::min(all, elsewhere);
}

void Stream::flush(MonotonicTime now) {
  if (!open_.empty()) close(now);
}

void Stream::close(MonotonicTime now) {
  flush_at_.reset();
  const std::size_t points = open_.points();
  Closed closed{{open_.take(), open_range_, points}, now};
  if (spool_ == nullptr) return keep_in_memory(std::move(closed));
  if (waiting_.empty() && (live_first_ || (stored_ == 0 && fetched_.empty()))) {
    waiting_.push_back(std::move(closed));
  } else if (live_first_) {
    stored_ += std::exchange(waiting_.front(), std::move(closed)).message.points;
  } else {
    stored_ += points;
  }
}

void Stream::keep_in_memory(Closed closed) {
  waiting_bytes_ += closed.message.payload.size();
  waiting_.push_back(std::move(closed));
  while (waiting_bytes_ > settings_.memory_bytes && waiting_.size() > 1) {
    waiting_bytes_ -= waiting_.front().message.payload.size();
    dropped_ += waiting_.front().message.points;
    waiting_.pop_front();
  }
}

std::optional<MonotonicTime> Stream::live_since() const {
  return waiting_.empty() ? std::nullopt : std::optional(waiting_.back().since);
}

Result<std::optional<Handover>> Stream::take() {
  if (!unspooled_.empty()) {
    ++in_flight_;
    Handover first = std::move(unspooled_.front());
    unspooled_.pop_front();
    return first;
  }
  auto message = take_waiting();
  if (!message) {
    if (auto fetched = fetch(); !fetched) return fail(std::move(fetched));
    message = take_fetched();
  }
  if (!message) return message;
  ++in_flight_;
  if (spool_ != nullptr) {
    in_flight_ranges_.insert(behind(message->range.first), message->range);
    in_flight_points_ += message->points;
  }
  if (settings_.lz4) {
    std::string frame;
    lz4::append_frame(frame, as_bytes(message->payload));
    message->payload = std::move(frame);
  }
  return message;
}

// Without a backlog what waits is the oldest there is; else it is to go first.
std::optional<Handover> Stream::take_waiting() {
  if (waiting_.empty()) return std::nullopt;
  Handover message = std::move(live_first_ ? waiting_.back() : waiting_.front()).message;
  if (live_first_) {
    waiting_.pop_back();
  } else {
    waiting_.pop_front();
  }
  if (spool_ == nullptr) waiting_bytes_ -= message.payload.size();
  return message;
}

std::optional<Handover> Stream::take_fetched() {
  if (fetched_.empty()) return std::nullopt;
  uplink::Batch batch(limits_);
  Range range{fetched_.front().record.sequence, 0};
  while (!fetched_.empty() && batch.has_room(fetched_.front().record.payload.size())) {
    // A range stands for all records of the lane within it.
    if (fetched_.front().behind_gap && !batch.empty()) break;
    batch.add(fetched_.front().record.payload);
    range.last = fetched_.front().record.sequence;
    fetched_bytes_ -= fetched_.front().record.payload.size();
    fetched_.pop_front();
  }
  const std::size_t points = batch.points();
  return Handover{batch.take(), range, points};
}

// Reads records of the backlog ahead, up to a message.
Result<void> Stream::fetch() {
  settle();  // or what is done would come again
  if (overran_ && stored_ > 0 && fetched_.empty()) {
    spool_->rewind(settings_.name);
    overran_ = false;
    gap_ = false;
  }
  while (stored_ > 0 && fetched_.size() < limits_.points && fetched_bytes_ < limits_.bytes && !overran_) {
    auto records =
        spool_->next(settings_.name, std::min(stored_, std::max(limits_.points, kFetchRecords)), kFetchBytes);
    if (!records) return fail(std::move(records));
    if (records->empty()) stored_ = 0;  // dropped by the spool meanwhile, or damaged
    const spool::Sequence held = open_.empty() ? std::numeric_limits<spool::Sequence>::max() : open_range_.first;
    for (spool::Message& record : *records) {
      if (record.sequence >= held) {
        // Only where the spool has dropped some of those that were counted.
        stored_ = 0;
        overran_ = true;
        break;
      }
      if (is_in_flight(record.sequence)) {
        gap_ = true;
        continue;
      }
      if (stored_ > 0) --stored_;
      if (!open_.can_hold(record.payload.size())) {  // accepted when packets were allowed to be larger
        spool_->finish(settings_.name, record.sequence, record.sequence, spool::Outcome::kDropped);
        continue;
      }
      fetched_bytes_ += record.payload.size();
      fetched_.push_back({std::move(record), std::exchange(gap_, false)});
    }
  }
  return {};
}

std::vector<Range>::const_iterator Stream::behind(spool::Sequence sequence) const {
  return std::upper_bound(in_flight_ranges_.begin(), in_flight_ranges_.end(), sequence,
                          [](spool::Sequence value, const Range& range) { return value < range.first; });
}

bool Stream::is_in_flight(spool::Sequence sequence) const {
  const auto after = behind(sequence);
  return after != in_flight_ranges_.begin() && sequence <= std::prev(after)->last;
}

void Stream::finish(const Handover& message, spool::Outcome outcome) {
  --in_flight_;
  if (message.range.last == 0) {
    if (outcome != spool::Outcome::kDelivered) dropped_ += message.points;
    return;
  }
  if (const auto after = behind(message.range.first);
      after != in_flight_ranges_.begin() && std::prev(after)->first == message.range.first) {
    in_flight_ranges_.erase(std::prev(after));
    in_flight_points_ -= message.points;
  }
  if (done_ && follows_done(message.range, outcome)) {
    done_->last = message.range.last;
    done_points_ += message.points;
    return;
  }
  settle();
  done_ = message.range;
  done_points_ = message.points;
  done_outcome_ = outcome;
}

// Whether one range can stand for what is done and for `range`: with live data first there may be records between them
// that are still to be sent, and otherwise some that are not acknowledged.
bool Stream::follows_done(const Range& range, spool::Outcome outcome) const {
  if (live_first_ || outcome != done_outcome_ || range.first < done_->last) return false;
  const auto next = behind(done_->last);
  return next == in_flight_ranges_.end() || next->first > range.first;
}

void Stream::settle() {
  if (!done_) return;
  const std::size_t finished = spool_->finish(settings_.name, done_->first, done_->last, done_outcome_);
  if (done_outcome_ == spool::Outcome::kDelivered)
    dropped_delivered_ += done_points_ - std::min(done_points_, finished);
  done_.reset();
}

void Stream::requeue() {
  in_flight_ = 0;
  if (spool_ == nullptr) return;
  settle();
  in_flight_ranges_.clear();
  in_flight_points_ = 0;
  fetched_.clear();
  fetched_bytes_ = 0;
  gap_ = false;
  overran_ = false;
  spool_->rewind(settings_.name);
  give_up_text();
}

std::size_t Stream::in_memory() const {
  if (spool_ != nullptr) return 0;
  std::size_t points = open_.points();
  for (const Handover& message : unspooled_) points += message.points;
  for (const Closed& closed : waiting_) points += closed.message.points;
  return points;
}

std::size_t Stream::unfinished() const {
  for (const spool::LaneSummary& lane : spool_->lanes()) {
    if (lane.lane == settings_.name) return lane.queued + lane.in_flight;
  }
  return 0;
}

}  // namespace fieldpipe::uplink_service
