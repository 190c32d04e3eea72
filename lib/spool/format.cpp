// SPDX-License-Identifier: MIT
#include "spool/format.h"

#include <algorithm>
#include <concepts>
#include <cstring>

#include "gzip/crc32.h"

namespace fieldpipe::spool {
namespace {

using gzip::crc32;

constexpr std::string_view kSegmentMagic{"fpSG"};
constexpr std::string_view kRecordMagic{"fpR\x01"};
constexpr std::string_view kProgressMagic{"fpAK"};
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kMagicBytes = 4;
constexpr std::size_t kCheckedFrom = 8;  // behind magic and checksum
constexpr std::size_t kProgressHeaderBytes = 80;
constexpr std::size_t kRangeHeaderBytes = 28;

template <std::unsigned_integral T>
void append_le(std::string& out, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  store_le(value, bytes.data());
  out.append(as_text(bytes));
}

void append_id(std::string& out, const SpoolId& id) { out.append(as_text(id)); }

SpoolId load_id(const std::byte* from) {
  SpoolId id{};
  std::copy_n(from, id.size(), id.begin());
  return id;
}

bool begins_with(Bytes bytes, std::string_view magic) { return as_text(bytes).starts_with(magic); }

void set_crc(std::string& out, std::size_t at, std::uint32_t crc) {
  store_le(crc, reinterpret_cast<std::byte*>(out.data()) + at);
}

}  // namespace

void append_segment_header(std::string& out, const SegmentHeader& header) {
  const std::size_t start = out.size();
  out.append(kSegmentMagic);
  append_le(out, std::uint32_t{0});
  append_le(out, kVersion);
  append_le(out, std::uint16_t{0});
  append_le(out, header.number);
  append_id(out, header.id);
  append_le(out, header.first);
  set_crc(out, start + kMagicBytes, crc32(0, as_bytes(out).subspan(start + kCheckedFrom)));
}

HeaderState decode_segment_header(Bytes segment, SegmentHeader& header) {
  if (segment.size() < kSegmentHeaderBytes || !begins_with(segment, kSegmentMagic)) return HeaderState::kDamaged;
  const std::byte* at = segment.data();
  if (load_le<std::uint32_t>(at + kMagicBytes) !=
      crc32(0, segment.subspan(kCheckedFrom, kSegmentHeaderBytes - kCheckedFrom))) {
    return HeaderState::kDamaged;
  }
  if (load_le<std::uint16_t>(at + 8) != kVersion) return HeaderState::kForeign;
  header = {load_le<std::uint32_t>(at + 12), load_id(at + 16), load_le<std::uint64_t>(at + 32)};
  return HeaderState::kGood;
}

std::uint32_t record_seed(const SpoolId& id, std::uint32_t segment_number) {
  std::string text(kSegmentMagic);
  append_id(text, id);
  append_le(text, segment_number);
  return crc32(0, as_bytes(text));
}

void append_record(std::string& out, std::uint32_t seed, const Record& record) {
  const std::size_t start = out.size();
  out.append(kRecordMagic);
  append_le(out, std::uint32_t{0});
  append_le(out, static_cast<std::uint32_t>(record.payload.size()));
  append_le(out, static_cast<std::uint16_t>(record.lane.size()));
  append_le(out, std::uint16_t{0});
  append_le(out, record.sequence);
  append_le(out, static_cast<std::uint64_t>(record.time.time_since_epoch().count()));
  append_le(out, crc32(crc32(seed, as_bytes(record.lane)), record.payload));
  set_crc(out, start + kMagicBytes, crc32(seed, as_bytes(out).subspan(start + kCheckedFrom)));
  out.append(record.lane).append(as_text(record.payload));
}

std::optional<std::size_t> decode_record_bytes(Bytes window, std::uint32_t seed) {
  if (window.size() < kRecordHeaderBytes || !begins_with(window, kRecordMagic)) return std::nullopt;
  const std::byte* at = window.data();
  const std::size_t payload_bytes = load_le<std::uint32_t>(at + 8);
  const std::size_t lane_bytes = load_le<std::uint16_t>(at + 12);
  if (payload_bytes > kMaxPayloadBytes || lane_bytes > kMaxLaneBytes) return std::nullopt;
  if (load_le<std::uint32_t>(at + kMagicBytes) !=
      crc32(seed, window.subspan(kCheckedFrom, kRecordHeaderBytes - kCheckedFrom))) {
    return std::nullopt;
  }
  return record_bytes(lane_bytes, payload_bytes);
}

std::optional<Record> decode_record(Bytes window, std::uint32_t seed) {
  const auto size = decode_record_bytes(window, seed);
  if (!size || *size > window.size()) return std::nullopt;
  const std::byte* at = window.data();
  const Bytes body = window.subspan(kRecordHeaderBytes, *size - kRecordHeaderBytes);
  const std::size_t lane_bytes = load_le<std::uint16_t>(at + 12);
  if (load_le<std::uint32_t>(at + 32) != crc32(seed, body)) return std::nullopt;
  return Record{load_le<std::uint64_t>(at + 16),
                WallTime(std::chrono::nanoseconds(static_cast<std::int64_t>(load_le<std::uint64_t>(at + 24)))),
                as_text(body.first(lane_bytes)), body.subspan(lane_bytes)};
}

std::optional<SegmentScanner::Found> SegmentScanner::next() {
  const std::size_t begin = std::min(position_, segment_.size());
  for (std::size_t at = begin;;) {
    const Bytes rest = segment_.subspan(at);
    if (const auto record = decode_record(rest, seed_)) {
      const std::size_t size = record_bytes(record->lane.size(), record->payload.size());
      if (at > begin) damage_.push_back({begin, at});
      position_ = end_ = at + size;
      return Found{*record, at, size};
    }
    // The next magic, if any; a record does not begin inside its own.
    const std::size_t found = as_text(rest).find(kRecordMagic, rest.empty() ? 0 : 1);
    if (found != std::string_view::npos) {
      at += found;
      continue;
    }
    const Bytes tail = segment_.subspan(begin);
    const auto last = std::find_if(tail.rbegin(), tail.rend(), [](std::byte b) { return b != std::byte{0}; });
    if (last != tail.rend()) damage_.push_back({begin, begin + static_cast<std::size_t>(tail.rend() - last)});
    position_ = segment_.size();
    return std::nullopt;
  }
}

void Totals::add(Outcome outcome, std::uint64_t count) {
  const auto leave_dead_letters = [&] { dead_lettered -= std::min(dead_lettered, count); };
  switch (outcome) {
    case Outcome::kDelivered: delivered += count; break;
    case Outcome::kDeadLettered: dead_lettered += count; break;
    case Outcome::kDropped: dropped += count; break;
    case Outcome::kDamaged: damaged += count; break;
    case Outcome::kEvicted:
      dropped += std::min(dead_lettered, count);
      leave_dead_letters();
      break;
    case Outcome::kRequeued: leave_dead_letters(); break;
  }
}

void begin_progress(std::string& out, const ProgressHeader& header) {
  out.assign(kProgressMagic);
  append_le(out, std::uint32_t{0});
  append_le(out, kVersion);
  append_le(out, std::uint16_t{0});
  append_le(out, std::uint32_t{0});
  append_id(out, header.id);
  append_le(out, header.generation);
  append_le(out, header.next);
  for (const std::uint64_t total :
       {header.totals.delivered, header.totals.dead_lettered, header.totals.dropped, header.totals.damaged}) {
    append_le(out, total);
  }
}

void end_progress(std::string& snapshot) {
  set_crc(snapshot, 12, static_cast<std::uint32_t>(snapshot.size()));
  set_crc(snapshot, kMagicBytes, crc32(0, as_bytes(snapshot).subspan(kCheckedFrom)));
}

std::uint32_t progress_seed(const SpoolId& id, std::uint64_t generation) {
  std::string text(kProgressMagic);
  append_id(text, id);
  append_le(text, generation);
  return crc32(0, as_bytes(text));
}

std::size_t range_bytes(std::size_t lane_bytes) { return kRangeHeaderBytes + lane_bytes; }

void append_range(std::string& out, std::uint32_t seed, const Range& range) {
  const std::size_t start = out.size();
  append_le(out, std::uint32_t{0});
  append_le(out, static_cast<std::uint16_t>(range.lane.size()));
  append_le(out, static_cast<std::uint8_t>(range.outcome));
  append_le(out, std::uint8_t{0});
  append_le(out, range.first);
  append_le(out, range.last);
  append_le(out, range.count);
  out.append(range.lane);
  set_crc(out, start, crc32(seed, as_bytes(out).subspan(start + kMagicBytes)));
}

std::optional<Progress> decode_progress(Bytes file) {
  if (file.size() < kProgressHeaderBytes || !begins_with(file, kProgressMagic)) return std::nullopt;
  const std::byte* at = file.data();
  const std::size_t length = load_le<std::uint32_t>(at + 12);
  if (length < kProgressHeaderBytes || length > file.size() ||
      load_le<std::uint32_t>(at + kMagicBytes) != crc32(0, file.subspan(kCheckedFrom, length - kCheckedFrom)) ||
      load_le<std::uint16_t>(at + 8) != kVersion) {
    return std::nullopt;
  }
  Progress progress;
  ProgressHeader& header = progress.header;
  header = {load_id(at + 16),
            load_le<std::uint64_t>(at + 32),
            load_le<std::uint64_t>(at + 40),
            {load_le<std::uint64_t>(at + 48), load_le<std::uint64_t>(at + 56), load_le<std::uint64_t>(at + 64),
             load_le<std::uint64_t>(at + 72)}};
  const std::uint32_t seed = progress_seed(header.id, header.generation);
  std::size_t& position = progress.end = kProgressHeaderBytes;
  while (file.size() - position >= kRangeHeaderBytes) {
    const std::byte* from = file.data() + position;
    const std::size_t lane_bytes = load_le<std::uint16_t>(from + 4);
    const auto outcome = std::to_integer<std::uint8_t>(from[6]);
    const std::size_t size = range_bytes(lane_bytes);
    // Zeros are no range, whatever the seed: an outcome is never 0.
    if (outcome < 1 || outcome > 6 || size > file.size() - position ||
        load_le<std::uint32_t>(from) != crc32(seed, file.subspan(position + kMagicBytes, size - kMagicBytes))) {
      break;
    }
    const Range range{static_cast<Outcome>(outcome), as_text(file.subspan(position + kRangeHeaderBytes, lane_bytes)),
                      load_le<std::uint64_t>(from + 8), load_le<std::uint64_t>(from + 16),
                      load_le<std::uint32_t>(from + 24)};
    header.totals.add(range.outcome, range.count);
    header.next = std::max(header.next, range.last + 1);
    progress.ranges.push_back(range);
    position += size;
  }
  return progress;
}

}  // namespace fieldpipe::spool
