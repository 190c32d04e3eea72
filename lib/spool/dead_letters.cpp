// SPDX-License-Identifier: MIT
#include "spool/dead_letters.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::spool {
namespace {

constexpr std::size_t kHeaderBytes = 28;
constexpr std::size_t kMaxTextBytes = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint64_t kLargestSegmentBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kProgressBytes = std::uint64_t{32} << 10U;
constexpr std::uint64_t kSegments = 8;

std::string folder_of(const std::string& spool_directory) { return spool_directory + "/dead"; }

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
                    std::string(rest.substr(reason + detail))};
}

Result<DeadLetters> DeadLetters::open(const std::string& spool_directory, std::uint64_t max_bytes) {
  Options options;
  options.directory = folder_of(spool_directory);
  options.max_bytes = max_bytes;
  options.min_free_bytes = 0;
  options.segment_bytes = std::min(max_bytes / kSegments, kLargestSegmentBytes);
  options.acknowledgement_bytes = std::min(max_bytes / kSegments, kProgressBytes);
  options.max_record_bytes = kMaxPayloadBytes;
  options.max_lanes = std::numeric_limits<std::size_t>::max();
  options.on_full = OnFull::kDropOldest;
  auto store = Spool::open(std::move(options));
  if (!store) return fail(std::move(store));
  return DeadLetters(std::move(*store));
}

Result<void> DeadLetters::add(std::string_view lane, const DeadLetter& letter) {
  std::string bytes;
  append_dead_letter(bytes, letter);
  if (auto appended = store_.append(lane, as_bytes(bytes), letter.time); !appended) return fail(std::move(appended));
  return store_.commit();
}

Result<std::optional<DeadLetter>> DeadLetters::find(std::string_view lane, Sequence number) {
  store_.rewind(lane);
  for (;;) {
    auto message = store_.next(lane, 1, 0);
    if (!message) return fail(std::move(message));
    if (message->empty() || message->front().sequence > number) return std::nullopt;
    if (message->front().sequence == number) return decode_dead_letter(as_bytes(message->front().payload));
  }
}

bool DeadLetters::remove(std::string_view lane, Sequence number) { return store_.finish(lane, number, number) > 0; }

Result<bool> DeadLetters::requeue(std::string_view lane, Sequence number, Spool& spool) {
  auto letter = find(lane, number);
  if (!letter) return fail(std::move(letter));
  if (!*letter) return false;
  if ((*letter)->payload_bytes != (*letter)->payload.size()) {
    return fail(ErrorCode::kBadData, fmt::format("dead letter {}: {} of {} bytes were kept", number,
                                                 (*letter)->payload.size(), (*letter)->payload_bytes));
  }
  if (auto appended = spool.append(lane, as_bytes((*letter)->payload), (*letter)->time); !appended) {
    return fail(std::move(appended));
  }
  if (auto committed = spool.commit(); !committed) return fail(std::move(committed));
  return remove(lane, number);
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
