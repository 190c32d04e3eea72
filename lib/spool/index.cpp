// SPDX-License-Identifier: MIT
#include "spool/index.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::spool {
namespace {

constexpr std::string_view kSegmentPrefix = "segment-";
constexpr std::size_t kSegmentDigits = 10;
// Far enough from the end of the type that a planted name cannot use the numbers up.
constexpr std::uint32_t kMaxSegmentNumber = 4'000'000'000;
constexpr std::size_t kMaxProgressBytes = std::size_t{64} << 20U;
// How far the sequence jumps where a file that cannot be read may have used some.
constexpr Sequence kSequenceJump = Sequence{1} << 32U;

Result<void> read_whole(const Directory& directory, const std::string& name, std::size_t max_bytes, std::string& out) {
  auto file = directory.open_file(name, false);
  if (!file) return fail(std::move(file));
  const auto size = file_bytes(*file);
  if (!size) return fail(Result<std::uint64_t>(size));
  if (*size > max_bytes) {
    return fail(ErrorCode::kBadData, fmt::format("{}: {} bytes, the limit is {}", name, *size, print_size(max_bytes)));
  }
  return read_at(*file, 0, static_cast<std::size_t>(*size), out);
}

FinishedLanes load_progress(const Directory& directory, Index& index) {
  std::string files[2];
  std::optional<Progress> newest;
  for (int i = 0; i < 2; ++i) {
    if (!read_whole(directory, kProgressNames[i], kMaxProgressBytes, files[i])) continue;
    auto progress = decode_progress(as_bytes(files[i]));
    if (!progress || (newest && newest->header.generation > progress->header.generation)) continue;
    newest = std::move(progress);
    index.progress_file = i;
  }
  FinishedLanes finished;
  if (!newest) return finished;
  index.progress = newest->header;
  index.progress_bytes = newest->end;
  index.id = newest->header.id;
  index.next = newest->header.next;
  for (const Range& range : newest->ranges) {
    auto lane = finished.find(range.lane);
    if (lane == finished.end()) lane = finished.try_emplace(std::string(range.lane)).first;
    lane->second.add(range.first, range.last);
  }
  for (auto& [name, lane] : finished) lane.merge();
  return finished;
}

// Takes in the records of one segment after the other.
class Loader {
 public:
  Loader(Index& index, const FinishedLanes& finished) : index_(index), finished_(finished) {}

  void add_segment(std::uint32_t number, Bytes bytes) {
    SegmentHeader header;
    const HeaderState state = decode_segment_header(bytes, header);
    if (state == HeaderState::kForeign || (state == HeaderState::kGood && index_.id && *index_.id != header.id)) {
      ++index_.foreign;
      return;
    }
    if (state == HeaderState::kGood) {
      index_.id = header.id;
      index_.next = std::max(index_.next, header.first);
    } else {
      header = {number, index_.id.value_or(SpoolId{}), 0};
    }
    // The number in the header counts where a file was renamed by hand: the checksums were made with it.
    Segment& segment = index_.segments[number];
    segment.size_bytes = bytes.size();
    segment.seed = record_seed(header.id, header.number);
    SegmentScanner scanner(bytes, segment.seed);
    while (const auto found = scanner.next()) {
      add_record(number, *found);
      ++segment.records;
    }
    segment.used_bytes = scanner.end();
    const Bytes start = bytes.first(std::min(bytes.size(), kSegmentHeaderBytes));
    if (state == HeaderState::kDamaged &&
        std::any_of(start.begin(), start.end(), [](std::byte b) { return b != std::byte{0}; })) {
      index_.damage.push_back({number, {0, start.size()}});
    }
    for (const auto& damage : scanner.damage()) index_.damage.push_back({number, damage});
  }

  void finish() {
    for (auto& [name, lane] : index_.lanes) {
      const auto by_sequence = [](const Entry& a, const Entry& b) { return a.sequence < b.sequence; };
      if (!std::is_sorted(lane.entries.begin(), lane.entries.end(), by_sequence)) {
        std::stable_sort(lane.entries.begin(), lane.entries.end(), by_sequence);
      }
      // Of a record that was copied forward, the later copy counts: walking from the end meets it first.
      const auto kept = std::unique(lane.entries.rbegin(), lane.entries.rend(),
                                    [](const Entry& a, const Entry& b) { return a.sequence == b.sequence; });
      lane.entries.erase(lane.entries.begin(), kept.base());
      lane.drop_finished_front();
      for (const Entry& entry : lane.entries) {
        if (entry.finished) continue;
        ++lane.unfinished;
        lane.bytes += entry.size_bytes;
        ++index_.segments[entry.segment].unfinished;
      }
    }
  }

 private:
  void add_record(std::uint32_t number, const SegmentScanner::Found& found) {
    const Record& record = found.record;
    if (!lane_ || lane_name_ != record.lane) {
      auto lane = index_.lanes.find(record.lane);
      if (lane == index_.lanes.end()) lane = index_.lanes.try_emplace(std::string(record.lane)).first;
      const auto finished = finished_.find(record.lane);
      lane_ = &lane->second;
      lane_name_ = lane->first;
      lane_finished_ = finished == finished_.end() ? nullptr : &finished->second;
    }
    const bool finished = lane_finished_ && lane_finished_->contains(record.sequence);
    Entry entry{record.sequence, number};
    entry.offset = static_cast<std::uint32_t>(found.offset) & 0x7FFFFFFFU;
    entry.finished = finished ? 1U : 0U;
    entry.size_bytes = static_cast<std::uint32_t>(found.size_bytes);
    lane_->entries.push_back(entry);
    lane_->newest = std::max(lane_->newest, record.sequence);
    lane_->any_finished |= finished;
    lane_->last_segment = std::max(lane_->last_segment, number);
    index_.next = std::max(index_.next, record.sequence + 1);
  }

  Index& index_;
  const FinishedLanes& finished_;
  Lane* lane_ = nullptr;  // that of the record before, which most often is that of the next
  std::string_view lane_name_;
  const Finished* lane_finished_ = nullptr;
};

}  // namespace

void Finished::merge() {
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<std::pair<Sequence, Sequence>> merged;
  for (const auto& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().second) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

bool Finished::contains(Sequence sequence) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), sequence,
                                      [](Sequence value, const auto& range) { return value < range.first; });
  return after != ranges_.begin() && sequence <= std::prev(after)->second;
}

std::deque<Entry>::iterator Lane::find(Sequence sequence) {
  return std::lower_bound(entries.begin(), entries.end(), sequence,
                          [](const Entry& entry, Sequence value) { return entry.sequence < value; });
}

void Lane::drop_finished_front() {
  while (!entries.empty() && entries.front().finished) entries.pop_front();
}

std::string segment_name(std::uint32_t number) {
  return fmt::format("{}{:0{}}", kSegmentPrefix, number, kSegmentDigits);
}

std::optional<std::uint32_t> parse_segment_name(std::string_view name) {
  if (!name.starts_with(kSegmentPrefix) || name.size() != kSegmentPrefix.size() + kSegmentDigits) return std::nullopt;
  const auto number = parse_integer<std::uint32_t>(name.substr(kSegmentPrefix.size()));
  if (!number || *number == 0 || *number > kMaxSegmentNumber) return std::nullopt;
  return number;
}

Result<Index> load(const Directory& directory) {
  auto names = directory.names();
  if (!names) return fail(std::move(names));
  Index index;
  FinishedLanes finished = load_progress(directory, index);
  Loader loader(index, finished);
  std::string bytes;
  for (const std::string& name : *names) {
    const auto number = parse_segment_name(name);
    if (!number) continue;
    index.next_segment = std::max(index.next_segment, *number + 1);
    if (auto read = read_whole(directory, name, kMaxSegmentBytes, bytes); read) {
      loader.add_segment(*number, as_bytes(bytes));
    } else if (read.error().code != ErrorCode::kNoInput) {  // a missing one was finished and removed meanwhile
      ++index.unreadable;
    }
  }
  loader.finish();
  if (!index.complete()) {
    index.next += kSequenceJump;
    index.carried = std::move(finished);
  }
  return index;
}

void append_ranges(Index& index, std::string& snapshot, std::uint32_t seed) {
  const auto append = [&](std::string_view lane, Sequence first, Sequence last) {
    append_range(snapshot, seed, {Outcome::kDelivered, lane, first, last, 0});
  };
  if (!index.complete()) {
    for (auto& [name, finished] : index.carried) {
      finished.merge();
      for (const auto& [first, last] : finished.ranges()) append(name, first, last);
    }
    return;
  }
  for (const auto& [name, lane] : index.lanes) {
    if (lane.any_finished) append(name, 1, lane.entries.empty() ? lane.newest : lane.entries.front().sequence - 1);
    for (auto entry = lane.entries.begin(); entry != lane.entries.end(); ++entry) {
      if (!entry->finished) continue;
      const Sequence first = entry->sequence;
      while (std::next(entry) != lane.entries.end() && std::next(entry)->finished) ++entry;
      append(name, first, entry->sequence);
    }
  }
}

void forget_lanes(Index& index) {
  const std::uint32_t oldest = index.segments.empty() ? index.next_segment : index.segments.begin()->first;
  std::erase_if(index.lanes,
                [&](const auto& lane) { return lane.second.entries.empty() && lane.second.last_segment < oldest; });
}

}  // namespace fieldpipe::spool
