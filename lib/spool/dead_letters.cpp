// SPDX-License-Identifier: MIT
#include "spool/dead_letters.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "spool/inspection.h"

namespace fieldpipe::spool {
namespace {

constexpr std::size_t kHeaderBytes = 29;
constexpr std::size_t kMaxTextBytes = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint64_t kLargestSegmentBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kProgressBytes = std::uint64_t{32} << 10U;
constexpr std::uint64_t kSegments = 8;
constexpr std::size_t kCountedRecords = 1000;
constexpr std::size_t kCountedBytes = std::size_t{1} << 20U;

std::string folder_of(const std::string& spool_directory) {
  return fmt::format("{}/{}", spool_directory, kDeadLettersFolder);
}

}  // namespace

void append_dead_letter(std::string& out, const DeadLetter& letter) {
  const std::string_view reason = std::string_view(letter.reason).substr(0, kMaxTextBytes);
  const std::string_view detail = std::string_view(letter.detail).substr(0, kMaxTextBytes);
  std::array<std::byte, kHeaderBytes> header{};
  store_le(letter.sequence, header.data());
  store_le(static_cast<std::uint64_t>(letter.time.time_since_epoch().count()), header.data() + 8);
  store_le(letter.payload_bytes, header.data() + 16);
  store_le(static_cast<std::uint16_t>(reason.size()), header.data() + 24);
  store_le(static_cast<std::uint16_t>(detail.size()), header.data() + 26);
  header[28] = std::byte{letter.can_requeue};
  out.append(as_text(header)).append(reason).append(detail).append(letter.payload);
}

std::optional<DeadLetter> decode_dead_letter(Bytes bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const std::byte* at = bytes.data();
  const std::size_t reason = load_le<std::uint16_t>(at + 24);
  const std::size_t detail = load_le<std::uint16_t>(at + 26);
  const std::string_view rest = as_text(bytes.subspan(kHeaderBytes));
  if (rest.size() < reason + detail) return std::nullopt;
  return DeadLetter{load_le<std::uint64_t>(at),
                    WallTime(std::chrono::nanoseconds(static_cast<std::int64_t>(load_le<std::uint64_t>(at + 8)))),
                    std::string(rest.substr(0, reason)),
                    std::string(rest.substr(reason, detail)),
                    load_le<std::uint64_t>(at + 16),
                    std::string(rest.substr(reason + detail)),
                    at[28] != std::byte{0}};
}

Result<DeadLetters> DeadLetters::open(Spool& spool, std::uint64_t max_bytes) {
  Options options;
  options.directory = folder_of(spool.directory());
  options.max_bytes = max_bytes;
  options.min_free_bytes = 0;
  options.segment_bytes = std::min(max_bytes / kSegments, kLargestSegmentBytes);
  options.acknowledgement_bytes = std::min(max_bytes / kSegments, kProgressBytes);
  options.max_record_bytes = kMaxPayloadBytes;
  options.max_lanes = std::numeric_limits<std::size_t>::max();
  options.on_full = OnFull::kDropOldest;
  auto store = Spool::open(std::move(options));
  if (!store) return fail(std::move(store));
  DeadLetters letters(std::move(*store));
  if (auto counted = letters.count_taken(&spool); !counted) return fail(std::move(counted));
  letters.settle(spool);
  return letters;
}

// With `spool`, forgets letters whose record is in it again, because a crash came between the two halves of take().
Result<void> DeadLetters::count_taken(Spool* spool) {
  taken_ = 0;
  evicted_ = evicted();
  for (const LaneSummary& summary : store_.lanes()) {
    const std::string lane(summary.lane);
    store_.rewind(lane);
    for (;;) {
      const auto messages = store_.next(lane, kCountedRecords, kCountedBytes);
      if (!messages) return fail(Result<std::vector<Message>>(messages));
      if (messages->empty()) break;
      for (const Message& message : *messages) {
        const auto letter = decode_dead_letter(as_bytes(message.payload));
        if (!letter || letter->sequence == 0) continue;
        if (spool != nullptr && spool->find(lane, letter->sequence).value_or(std::nullopt)) {
          store_.finish(lane, message.sequence, message.sequence);
        } else {
          ++taken_;
        }
      }
    }
  }
  return {};
}

// What the spool counts as dead-lettered and is not here any more has been dropped.
void DeadLetters::settle(Spool& spool) const {
  const std::uint64_t counted = spool.statistics().dead_lettered;
  if (counted > taken_) spool.recount_dead_letters(Outcome::kEvicted, counted - taken_);
}

Result<void> DeadLetters::add(std::string_view lane, const DeadLetter& letter) {
  auto added = append(lane, letter);
  return added ? commit() : added;
}

Result<void> DeadLetters::append(std::string_view lane, const DeadLetter& letter) {
  std::string bytes;
  append_dead_letter(bytes, letter);
  if (bytes.size() > store_.max_record_bytes()) {
    bytes.clear();
    append_dead_letter(bytes, {letter.sequence, letter.time, letter.reason, letter.detail, letter.payload_bytes,
                               letter.payload.substr(0, kKeptBytes), letter.can_requeue});
  }
  if (auto appended = store_.append(lane, as_bytes(bytes), letter.time); !appended) return fail(std::move(appended));
  if (letter.sequence != 0) ++taken_;
  return {};
}

Result<void> DeadLetters::commit() {
  auto committed = store_.commit();
  if (committed && evicted() == evicted_) return committed;
  auto counted = count_taken();
  return committed ? counted : committed;
}

Result<void> DeadLetters::take(std::string_view lane, const DeadLetter& letter, Spool& spool) {
  if (auto added = add(lane, letter); !added) return added;
  spool.finish(lane, letter.sequence, letter.sequence, Outcome::kDeadLettered);
  settle(spool);
  return {};
}

Result<std::optional<DeadLetter>> DeadLetters::find(std::string_view lane, Sequence number) {
  const auto message = store_.find(lane, number);
  if (!message) return fail(Result<std::optional<Message>>(message));
  if (!*message) return std::optional<DeadLetter>();
  return decode_dead_letter(as_bytes((*message)->payload));
}

void DeadLetters::forget(std::string_view lane, Sequence number, const DeadLetter& letter, Outcome outcome,
                         Spool& spool) {
  store_.finish(lane, number, number);
  if (letter.sequence == 0) return;
  taken_ -= std::min<std::uint64_t>(taken_, 1);
  spool.recount_dead_letters(outcome, 1);
}

Result<bool> DeadLetters::remove(std::string_view lane, Sequence number, Spool& spool) {
  auto letter = find(lane, number);
  if (!letter) return fail(std::move(letter));
  if (*letter) forget(lane, number, **letter, Outcome::kEvicted, spool);
  return letter->has_value();
}

Result<bool> DeadLetters::requeue(std::string_view lane, Sequence number, Spool& spool) {
  auto letter = find(lane, number);
  if (!letter) return fail(std::move(letter));
  if (!*letter) return false;
  if ((*letter)->payload_bytes != (*letter)->payload.size()) {
    return fail(ErrorCode::kBadData, fmt::format("dead letter {}: {} of {} bytes were kept", number,
                                                 (*letter)->payload.size(), (*letter)->payload_bytes));
  }
  if (!(*letter)->can_requeue) {
    return fail(ErrorCode::kBadData, fmt::format("dead letter {}: what was refused ({}) is no record", number,
                                                 printable((*letter)->reason)));
  }
  if (auto appended = spool.append(lane, as_bytes((*letter)->payload), (*letter)->time); !appended) {
    return fail(std::move(appended));
  }
  if (auto committed = spool.commit(); !committed) return fail(std::move(committed));
  forget(lane, number, **letter, Outcome::kRequeued, spool);
  return true;
}

std::uint64_t DeadLetters::kept() const {
  const Statistics statistics = store_.statistics();
  return statistics.queued + statistics.in_flight;
}

std::uint64_t DeadLetters::evicted() const { return store_.statistics().dropped; }

Result<void> inspect_dead_letters(
    const std::string& spool_directory,
    const std::function<void(std::string_view lane, Sequence number, const DeadLetter&)>& visit) {
  const auto inspected = inspect(folder_of(spool_directory), [&](const Inspected& record) {
    if (record.finished) return;
    if (const auto letter = decode_dead_letter(record.record.payload)) {
      visit(record.record.lane, record.record.sequence, *letter);
    }
  });
  if (!inspected && inspected.error().code != ErrorCode::kNoInput) return fail(Result<Inspection>(inspected));
  return {};
}

}  // namespace fieldpipe::spool
