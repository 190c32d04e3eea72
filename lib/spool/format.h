// SPDX-License-Identifier: MIT
// The bytes of a spool's files: segments of records, and acknowledgement files of finished ranges. Pure.
//
// All integers are little-endian. A segment is a header and records without gaps; what follows the last record is zero.
//
//   segment   "fpSG"  crc:4 of the next 32  version:2  0:2  number:4  spool id:16  first sequence:8
//   record    "fpR\x01"  crc:4 of the next 28  payload length:4  lane length:2  0:2  sequence:8  time:8 (ns since 1970)
//             crc:4 of lane and payload  lane  payload
//   progress  "fpAK"  crc:4 of the rest of the snapshot  version:2  0:2  snapshot length:4  spool id:16  generation:8
//             next sequence:8  delivered:8  dead-lettered:8  dropped:8  damaged:8  ranges...  and after the snapshot
//             ranges
//   range     crc:4 of the rest  lane length:2  outcome:1  0:1  first:8  last:8  count:4  lane
//
// The checksums of records and ranges start from one of the spool id and the segment number (or generation), so that
// neither stale bytes of another file nor a record planted in a payload can pass for a record of this file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"

namespace fieldpipe::spool {

// The place of a record in the order of acceptance, from 1. Never used twice in one spool.
using Sequence = std::uint64_t;

// Random, chosen when the spool is made.
using SpoolId = std::array<std::byte, 16>;

inline constexpr std::size_t kMaxLaneBytes = 1024;
inline constexpr std::size_t kMaxPayloadBytes = std::size_t{32} << 20U;
inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 36;
// A larger file is not a segment of ours. Above the largest record, and small enough to be read whole.
inline constexpr std::size_t kMaxSegmentBytes = std::size_t{64} << 20U;

struct SegmentHeader {
  std::uint32_t number = 0;
  SpoolId id{};
  Sequence first = 0;  // no record of the segment that is not a copy has a smaller sequence
};

enum class HeaderState : std::uint8_t {
  kGood,
  kForeign,  // intact, of a version this program does not know: not to be touched
  kDamaged,
};

void append_segment_header(std::string& out, const SegmentHeader& header);

// Reads the header at the start of `segment`; `header` is set only for kGood.
HeaderState decode_segment_header(Bytes segment, SegmentHeader& header);

// What the checksums of the records of one segment start from.
std::uint32_t record_seed(const SpoolId& id, std::uint32_t segment_number);

struct Record {
  Sequence sequence = 0;
  WallTime time;  // of acceptance, as the clock had it
  std::string_view lane;
  Bytes payload;
};

// What a record takes in a segment.
inline std::size_t record_bytes(std::size_t lane_bytes, std::size_t payload_bytes) {
  return kRecordHeaderBytes + lane_bytes + payload_bytes;
}

// Lane and payload are within kMaxLaneBytes and kMaxPayloadBytes.
void append_record(std::string& out, std::uint32_t seed, const Record& record);

// The size of the record at the start of `window` as its intact header tells it, or nothing. The record may be longer
// than the window, and its lane and payload are not looked at.
std::optional<std::size_t> decode_record_bytes(Bytes window, std::uint32_t seed);

// The record at the start of `window`, with checksums checked, or nothing. Points into the window.
std::optional<Record> decode_record(Bytes window, std::uint32_t seed);

// Walks over the records of a segment and steps over damage: behind a bad record it goes on at the next place where
// magic and both checksums agree.
class SegmentScanner {
 public:
  struct Found {
    Record record;           // points into the segment
    std::size_t offset = 0;  // bytes from the start of the segment
    std::size_t size_bytes = 0;
  };
  struct Damage {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool operator==(const Damage&) const = default;
  };

  // `segment` is the whole file, header included, and must outlive the scanner.
  SegmentScanner(Bytes segment, std::uint32_t seed) : segment_(segment), seed_(seed) {}

  // The next intact record, or nothing at the end.
  std::optional<Found> next();

  // The damaged stretches passed so far: not zero at their end, without intact records.
  [[nodiscard]] const std::vector<Damage>& damage() const { return damage_; }

  // Where the last record ended.
  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  Bytes segment_;
  std::uint32_t seed_;
  std::size_t position_ = kSegmentHeaderBytes;
  std::size_t end_ = kSegmentHeaderBytes;
  std::vector<Damage> damage_;
};

// How records ended.
enum class Outcome : std::uint8_t {
  kDelivered = 1,
  kDeadLettered = 2,
  kDropped = 3,
  kDamaged = 4,   // accepted, and then the disk could not give it back
  kEvicted = 5,   // was dead-lettered, and is dropped now
  kRequeued = 6,  // was dead-lettered, and is queued again: of the records accepted, it is one and the same
};

// The records of `lane` with sequences from `first` to `last` are finished; `count` of them became so here. Every
// outcome is told by a range of its own, and a compacted range has a count of 0 because the totals hold it. kEvicted
// and kRequeued tell of records that had been finished before: no lane, and 0 for `first` and `last`.
struct Range {
  Outcome outcome = Outcome::kDelivered;
  std::string_view lane;
  Sequence first = 0;
  Sequence last = 0;
  std::uint32_t count = 0;
};

// How many records ended how, since the spool was made.
struct Totals {
  std::uint64_t delivered = 0;
  std::uint64_t dead_lettered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t damaged = 0;

  void add(Outcome outcome, std::uint64_t count);
  [[nodiscard]] std::uint64_t sum() const { return delivered + dead_lettered + dropped + damaged; }
  bool operator==(const Totals&) const = default;
};

// What stands at the start of an acknowledgement file.
struct ProgressHeader {
  SpoolId id{};
  std::uint64_t generation = 0;  // the file with the larger one holds
  Sequence next = 1;             // no record has had this sequence or a larger one, but for those in ranges
  Totals totals;
};

// Starts a snapshot; append ranges with progress_seed, then end_progress.
void begin_progress(std::string& out, const ProgressHeader& header);
void end_progress(std::string& snapshot);

std::uint32_t progress_seed(const SpoolId& id, std::uint64_t generation);
void append_range(std::string& out, std::uint32_t seed, const Range& range);
std::size_t range_bytes(std::size_t lane_bytes);

// An acknowledgement file back to values.
struct Progress {
  ProgressHeader header;      // totals and next with all ranges taken in
  std::vector<Range> ranges;  // point into the file
  std::size_t end = 0;        // of the last one, bytes from the start of the file
};

// Nothing when the snapshot is not intact or of another version. Ranges behind it end at the first that is not intact.
std::optional<Progress> decode_progress(Bytes file);

}  // namespace fieldpipe::spool
