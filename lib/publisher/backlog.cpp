// SPDX-License-Identifier: MIT
#include "publisher/backlog.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/backoff.h"
#include "spool/options.h"

namespace fieldpipe::publisher {
namespace {

constexpr std::string_view kLane = "mqtt";

// What is committed at once, and what is read from the spool at once.
constexpr std::size_t kCommitBytes = std::size_t{256} << 10U;
constexpr std::size_t kBatchRecords = 100;
constexpr std::size_t kBatchBytes = std::size_t{128} << 10U;

// Others may free space on the disk without telling.
constexpr std::chrono::seconds kLookForRoom{1};

}  // namespace

Backlog::Backlog(Supply& input, spool::Spool& spool, bool drops_newest, Defaults defaults, cli::Report& report)
    : input_(input),
      spool_(spool),
      drops_newest_(drops_newest),
      defaults_(std::move(defaults)),
      report_(report),
      dropped_before_(spool.statistics().dropped),
      damaged_before_(spool.statistics().damaged) {}

void Backlog::take_in() {
  close_run();
  std::size_t taken = 0;
  more_ = false;
  const std::uint64_t accepted_before = spool_.statistics().accepted;
  while (!failure_ && !more_) {
    const auto bytes = append_next();
    if (!bytes) break;
    taken += *bytes;
    more_ = taken >= kCommitBytes;
  }
  commit(accepted_before);
}

// The size of the next record, which the spool has now or never will. Nothing when there is none, or no room.
std::optional<std::size_t> Backlog::append_next() {
  if (appended_ == in_hand_.size()) {
    if (input_done_) return std::nullopt;
    auto record = input_.next();
    if (!record) failure_ = std::move(record).error();
    if (!record || !*record) {
      input_done_ = input_.at_end();
      return std::nullopt;
    }
    in_hand_.push_back(encode(**record));
  } else if (waiting_ && monotonic_now() < retry_at_ && spool_.full()) {
    return std::nullopt;
  }
  const std::string& next = in_hand_[appended_];
  const std::size_t size = next.size();
  const auto appended = spool_.append(kLane, as_bytes(next));
  waiting_ = !appended && appended.error().code == ErrorCode::kUnavailable && !drops_newest_;
  if (appended) {
    ++appended_;
    return size;
  }
  if (waiting_) {
    retry_at_ = monotonic_now() + kLookForRoom;
    return std::nullopt;
  }
  if (appended.error().code == ErrorCode::kBadData) {
    report_.partial(fmt::format("record {}: {}; its start is kept", input_.number(), appended.error().what));
    add_dead_letter({0, wall_now(), "oversize", appended.error().what, size, next.substr(0, spool::kKeptBytes)});
  } else if (appended.error().code != ErrorCode::kUnavailable) {
    failure_ = appended.error();
    return std::nullopt;
  }
  in_hand_.erase(in_hand_.begin() + static_cast<std::ptrdiff_t>(appended_));
  return size;
}

// What a disk that filled up meanwhile did not take is appended again when there is room.
void Backlog::commit(std::uint64_t accepted_before) {
  const auto committed = spool_.commit();
  const auto accepted = static_cast<std::size_t>(spool_.statistics().accepted - accepted_before);
  in_hand_.erase(in_hand_.begin(), in_hand_.begin() + static_cast<std::ptrdiff_t>(accepted));
  const std::size_t missed = std::exchange(appended_, 0) - accepted;
  if (committed) return;
  if (committed.error().code != ErrorCode::kUnavailable) {
    if (!failure_) failure_ = committed.error();
  } else if (drops_newest_) {
    refused_ += missed;
    in_hand_.erase(in_hand_.begin(), in_hand_.begin() + static_cast<std::ptrdiff_t>(missed));
  } else {
    waiting_ = true;
    more_ = false;
    retry_at_ = monotonic_now() + kLookForRoom;
  }
}

std::string Backlog::encode(const Record& record) const {
  const mqtt::Properties* properties = &defaults_.properties;
  mqtt::Properties both;
  if (!record.properties.empty()) {
    both = defaults_.properties;
    both.insert(both.end(), record.properties.begin(), record.properties.end());
    properties = &both;
  }
  std::string encoded;
  append_stored_message(encoded,
                        {record.topic != nullptr ? *record.topic : defaults_.topic, record.payload,
                         record.qos.value_or(defaults_.qos), record.retain.value_or(defaults_.retain), properties});
  return encoded;
}

bool Backlog::input_ended() const { return failure_ || (input_done_ && in_hand_.empty()); }

bool Backlog::at_end() const {
  // Of what is under way some may come again.
  if (!input_ended() || (failure_ && !failure_told_) || rewinds_ || !open_.empty()) return false;
  if (given_of_batch_ < batch_.size()) return false;
  const auto lane = spool_.find_lane(kLane);
  return !lane || lane->queued == 0;
}

int Backlog::descriptor() const { return waiting_ || failure_ ? -1 : input_.descriptor(); }

std::optional<MonotonicTime> Backlog::ready_at() const {
  std::optional<MonotonicTime> at = waiting_ ? retry_at_ : input_.ready_at();
  if (more_) at = MonotonicTime{};
  if (rewinds_ && open_.empty()) at = std::min(at.value_or(rewind_at_), rewind_at_);
  return at;
}

Result<std::optional<Record>> Backlog::next() {
  if (rewinds_) {
    if (!open_.empty() || monotonic_now() < rewind_at_) return std::optional<Record>();
    close_run();
    spool_.rewind(kLane);
    batch_.clear();
    given_of_batch_ = 0;
    rewinds_ = false;
  }
  for (;;) {
    if (given_of_batch_ == batch_.size()) {
      auto batch = spool_.next(kLane, kBatchRecords, kBatchBytes);
      if (!batch) return fail(std::move(batch));
      batch_ = *std::move(batch);
      given_of_batch_ = 0;
    }
    if (batch_.empty()) {
      if (failure_ && input_ended() && !std::exchange(failure_told_, true)) return tl::make_unexpected(*failure_);
      return std::optional<Record>();
    }
    const spool::Message& message = batch_[given_of_batch_++];
    number_ = message.sequence;
    auto stored = decode_stored_message(as_bytes(message.payload));
    open_.push_back(number_);
    if (!stored) {
      const Error error{ErrorCode::kBadData, "not a message of this version", {}, std::nullopt};
      report_.partial(fmt::format("record {}: {}", number_, error.what));
      set_aside(number_, error);
      continue;
    }
    given_ = *std::move(stored);
    return std::optional<Record>({given_.payload, &given_.topic, given_.qos, given_.retain, given_.properties});
  }
}

void Backlog::acknowledged(std::uint64_t number) {
  failures_ = 0;
  const bool in_order = !open_.empty() && open_.front() == number;
  if (!in_order) close_run();
  if (!forget(number)) return;
  run_ = Run{run_ ? run_->first : number, number};
  if (!in_order) close_run();
}

bool Backlog::take_back(std::uint64_t number) {
  close_run();
  forget(number);
  if (!std::exchange(rewinds_, true)) rewind_at_ = monotonic_now() + backoff(failures_++, random_fraction());
  return true;
}

bool Backlog::set_aside(std::uint64_t number, const Error& why) {
  close_run();
  forget(number);
  const auto message = spool_.find(kLane, number);
  if (!message || !*message) return take_back(number);
  add_dead_letter({number, (*message)->time, "refused", why.what, (*message)->payload.size(), (*message)->payload});
  return true;
}

// A record that cannot be written as a dead letter stays in the spool.
void Backlog::add_dead_letter(const spool::DeadLetter& letter) {
  Result<void> added;
  if (!dead_letters_) {
    auto opened = spool::DeadLetters::open(spool_);
    if (opened) {
      spool::tell_damage(opened->store(), report_);
      dead_letters_.emplace(*std::move(opened));
    } else {
      added = fail(std::move(opened));
    }
  }
  if (added) {
    added = letter.sequence == 0 ? dead_letters_->add(kLane, letter) : dead_letters_->take(kLane, letter, spool_);
  }
  if (added) return;
  report_.fail(std::move(added).error().in("dead letters"));
  if (letter.sequence != 0) take_back(letter.sequence);
}

// Tells the spool of what was acknowledged. All records between the first and the last one were.
void Backlog::close_run() {
  if (const auto run = std::exchange(run_, std::nullopt)) spool_.finish(kLane, run->first, run->last);
}

bool Backlog::forget(std::uint64_t number) {
  const auto found = std::find(open_.begin(), open_.end(), number);
  if (found == open_.end()) return false;
  open_.erase(found);
  return true;
}

std::uint64_t Backlog::kept() {
  close_run();
  const auto lane = spool_.find_lane(kLane);
  return lane ? lane->queued + lane->in_flight : 0;
}

Result<void> Backlog::close() {
  close_run();
  const spool::Statistics statistics = spool_.statistics();
  const std::uint64_t dropped =
      statistics.dropped - std::min(statistics.dropped, dropped_before_) + statistics.refused + refused_;
  if (!in_hand_.empty()) report_.partial(fmt::format("{} records were read and are not stored", in_hand_.size()));
  if (dropped > 0) {
    report_.partial(fmt::format("{} records were dropped, {} of them too old", dropped, statistics.expired));
  }
  if (const std::uint64_t damaged = statistics.damaged - damaged_before_; damaged > 0) {
    report_.partial(fmt::format("{} records were damaged on the disk", damaged));
  }
  return spool_.sync();
}

}  // namespace fieldpipe::publisher
