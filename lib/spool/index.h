// SPDX-License-Identifier: MIT
// What is in a spool, in memory: where each unfinished record of each lane lies, and what each segment still holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/result.h"
#include "spool/directory.h"
#include "spool/format.h"

namespace fieldpipe::spool {

struct Entry {
  Sequence sequence = 0;
  std::uint32_t segment = 0;
  std::uint32_t offset : 31 = 0;  // bytes from the start of the segment
  std::uint32_t finished : 1 = 0;
  std::uint32_t size_bytes = 0;  // in the segment
};

// The queue of one lane.
struct Lane {
  std::deque<Entry> entries;       // by sequence; the first is unfinished, later ones may be finished
  Sequence newest = 0;             // of all records the lane had
  bool any_finished = false;       // if so, every record that is not in entries is finished
  Sequence cursor = 0;             // records below it were handed out
  std::size_t unfinished = 0;      // entries that are
  std::uint64_t bytes = 0;         // that these take in their segments
  std::size_t in_flight = 0;       // of these, below the cursor
  std::uint32_t last_segment = 0;  // no later segment holds a record of the lane

  // The entry of `sequence`, or the first behind it.
  std::deque<Entry>::iterator find(Sequence sequence);
  void drop_finished_front();
};

struct Segment {
  std::uint64_t size_bytes = 0;  // of the file
  std::uint64_t used_bytes = 0;  // to the end of the last record
  std::uint32_t seed = 0;        // of its checksums
  std::uint32_t records = 0;     // that were ever written to it
  std::uint32_t unfinished = 0;  // of these, but for those that were copied to a later segment
  bool keep = false;             // evidence of damage that is not in the quarantine: not to be removed
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// Finished ranges of one lane, as acknowledgement files tell them.
class Finished {
 public:
  void add(Sequence first, Sequence last) { ranges_.emplace_back(first, last); }

  // Sorts the ranges and joins those that overlap. Others may have unfinished records between them.
  void merge();

  // Only after merge().
  [[nodiscard]] bool contains(Sequence sequence) const;
  [[nodiscard]] const std::vector<std::pair<Sequence, Sequence>>& ranges() const { return ranges_; }

 private:
  std::vector<std::pair<Sequence, Sequence>> ranges_;
};

using FinishedLanes = std::unordered_map<std::string, Finished, TextHash, std::equal_to<>>;
using Lanes = std::unordered_map<std::string, Lane, TextHash, std::equal_to<>>;

struct Index {
  std::optional<SpoolId> id;  // nothing where there is no intact file yet
  std::map<std::uint32_t, Segment> segments;
  Lanes lanes;
  ProgressHeader progress;         // of the newest acknowledgement file
  int progress_file = -1;          // which of the two that is; -1: none
  std::size_t progress_bytes = 0;  // to the end of its last range
  Sequence next = 1;
  std::uint32_t next_segment = 1;

  struct Damage {
    std::uint32_t segment = 0;
    SegmentScanner::Damage bytes;
    bool operator==(const Damage&) const = default;
  };
  std::vector<Damage> damage;
  std::size_t foreign = 0;     // files of segments that are of another version or spool: left alone
  std::size_t unreadable = 0;  // and those the disk could not read

  FinishedLanes carried;  // if the index is not complete: every range, because none can be concluded

  // Whether all segments could be read, so that what is not in here is finished.
  [[nodiscard]] bool complete() const { return foreign == 0 && unreadable == 0; }
};

// The name of a segment's file, and back; nothing for a name that is not one.
std::string segment_name(std::uint32_t number);
std::optional<std::uint32_t> parse_segment_name(std::string_view name);

inline constexpr const char* kProgressNames[] = {"acknowledged-a", "acknowledged-b"};

// Reads a spool without changing it, whatever its files hold. Fails only when the folder itself cannot be read. Reads
// segment by segment, so that memory is that of the largest segment and 24 bytes a record.
Result<Index> load(const Directory& directory);

// Appends the finished ranges to a snapshot: for each lane everything before its first unfinished record, and the
// finished records between unfinished ones; where a segment could not be read, exactly the ranges that were told.
void append_ranges(Index& index, std::string& snapshot, std::uint32_t seed);

// Drops the lanes that have nothing unfinished and of which no segment can hold a record.
void forget_lanes(Index& index);

}  // namespace fieldpipe::spool
