// SPDX-License-Identifier: MIT
#include "spool/spool.h"

#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::spool {
namespace {

constexpr const char* kLockName = "lock";
constexpr const char* kSpareName = "spare";
constexpr const char* kQuarantineName = "quarantine";
constexpr std::uint64_t kMinSegmentBytes = 4096;
// Segments a spool needs to work: one that grows, the reserve, and two that hold what waits.
constexpr std::uint64_t kMinSegments = 4;
// Of the spool a lane may fill this part, and more only while there is room that no other lane wants.
constexpr std::uint64_t kShareDivisor = 4;
// A clock that is before this has not been set (a gateway starts in 1970).
constexpr WallTime kEarliestTime{std::chrono::seconds(1'577'836'800)};  // 2020
// How often a full spool looks for records that have become too old: it reads one of each lane.
constexpr std::chrono::seconds kExpiryInterval{1};
constexpr std::size_t kRandomWindowBytes = 4096;
constexpr std::size_t kSequentialWindowBytes = std::size_t{64} << 10U;

Result<io::Descriptor> take_lock(const Directory& directory) {
  auto lock = directory.open_file(kLockName, true);
  if (!lock && lock.error().code == ErrorCode::kNoInput) {
    lock = directory.create(kLockName, 0);
    if (!lock) lock = directory.open_file(kLockName, true);  // another process was quicker
  }
  if (!lock) return lock;
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::make_unexpected(io::system_error("flock", errno));
    std::string holder;
    (void)read_at(*lock, 0, 20, holder);
    return fail(ErrorCode::kUnavailable,
                fmt::format("{}: in use by process {}", directory.path(), printable(trimmed(holder))));
  }
  // For the message above only: a disk without room for it is no reason to fail.
  const std::string self = fmt::format("{:<10}\n", ::getpid());
  (void)write_at(*lock, as_bytes(self), 0);
  return lock;
}

Result<void> check(const Options& options) {
  if (options.max_record_bytes > kMaxPayloadBytes) {
    return fail(ErrorCode::kUsage, fmt::format("records of {}, the limit is {}", print_size(options.max_record_bytes),
                                               print_size(kMaxPayloadBytes)));
  }
  if (options.segment_bytes < kMinSegmentBytes || options.segment_bytes > kMaxSegmentBytes / 2) {
    return fail(ErrorCode::kUsage, fmt::format("segments of {}, must be {} to {}", print_size(options.segment_bytes),
                                               print_size(kMinSegmentBytes), print_size(kMaxSegmentBytes / 2)));
  }
  const std::uint64_t least = kMinSegments * options.segment_bytes + 2 * options.acknowledgement_bytes;
  if (options.max_bytes < least) {
    return fail(ErrorCode::kUsage,
                fmt::format("a spool of {}, {} is the least for segments of {}", print_size(options.max_bytes),
                            print_size(least), print_size(options.segment_bytes)));
  }
  return {};
}

}  // namespace

Result<Spool> Spool::open(Options options) {
  if (auto checked = check(options); !checked) return fail(std::move(checked));
  auto directory = Directory::open(options.directory, true);
  if (!directory) return fail(std::move(directory));
  auto lock = take_lock(*directory);
  if (!lock) return fail(std::move(lock));
  auto index = load(*directory);
  if (!index) return fail(std::move(index));
  Spool spool(std::move(options), std::move(*directory), std::move(*lock), std::move(*index));
  if (auto started = spool.start(); !started) return fail(std::move(started));
  return spool;
}

Spool::Spool(Options options, Directory directory, io::Descriptor lock, Index index)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      lock_(std::move(lock)),
      index_(std::move(index)),
      acknowledgements_(index_, options_.acknowledgement_bytes),
      totals_(index_.progress.totals),
      opened_(monotonic_now()),
      opened_next_(index_.next) {
  // A larger one might never find room, and everything behind it would wait for that, or be dropped.
  options_.max_record_bytes = std::min<std::uint64_t>(options_.max_record_bytes, options_.max_bytes / 2);
}

Spool::~Spool() {
  if (lock_) seal();
}

Result<void> Spool::start() {
  // Names and bytes that a killed owner left in the kernel's memory only are made durable before anyone relies on them.
  if (auto synced = directory_.sync(); !synced) return synced;
  for (const Index::Damage& damage : index_.damage) quarantine(damage);
  for (auto& [number, segment] : index_.segments) {
    segment_bytes_sum_ += segment.size_bytes;
    unfinished_ += segment.unfinished;
    trim(number, segment);
  }
  for (const auto& [name, lane] : index_.lanes) unfinished_bytes_ += lane.bytes;
  if (!index_.segments.empty()) {
    // All others were synced before a later one was made.
    const auto last = directory_.open_file(segment_name(index_.segments.rbegin()->first), true);
    if (!last || !sync_data(*last)) ++counted_.write_errors;
  }
  counted_.recovered = unfinished_;
  counted_.foreign_segments = index_.foreign + index_.unreadable;
  accepted_ = unfinished_ + totals_.sum();
  if (auto spare = directory_.open_file(kSpareName, false); spare) {
    spare_bytes_ = file_bytes(*spare).value_or(0);
    // Cut short by a kill, or of a spool that was smaller: keep_spare() makes another.
    if (spare_bytes_ < options_.segment_bytes && directory_.remove(kSpareName)) spare_bytes_ = 0;
  }
  if (!index_.id) {
    index_.id.emplace();
    if (::getrandom(index_.id->data(), index_.id->size(), 0) != static_cast<ssize_t>(index_.id->size())) {
      return tl::make_unexpected(io::system_error("getrandom", errno));
    }
  }
  // A new spool has to be able to record progress. One with content starts whatever happens, and tries again later.
  if (auto compacted = compact_progress(); !compacted && unfinished_ == 0 && index_.progress_file < 0) {
    return compacted;
  }
  free_segments();
  return {};
}

// Gives the unused end of a segment of an earlier run back.
void Spool::trim(std::uint32_t number, Segment& segment) {
  if (segment.keep || segment.used_bytes >= segment.size_bytes) return;
  const auto file = directory_.open_file(segment_name(number), true);
  if (!file || !truncate(*file, segment.used_bytes)) return;
  segment_bytes_sum_ -= segment.size_bytes - segment.used_bytes;
  segment.size_bytes = segment.used_bytes;
}

void Spool::quarantine(const Index::Damage& damage) {
  counted_.quarantined_bytes += damage.bytes.end - damage.bytes.begin;
  Segment& segment = index_.segments[damage.segment];
  segment.keep = true;
  const auto folder = Directory::open(fmt::format("{}/{}", directory_.path(), kQuarantineName), true);
  const auto file = directory_.open_file(segment_name(damage.segment), false);
  if (!folder || !file) return;
  const std::string name = fmt::format("{}-{:010}", segment_name(damage.segment), damage.bytes.begin);
  std::string bytes;
  if (!read_at(*file, damage.bytes.begin, damage.bytes.end - damage.bytes.begin, bytes)) return;
  (void)folder->remove(name);  // the same bytes, perhaps cut short by a crash
  const auto copy = folder->create(name, bytes.size());
  if (!copy || !write_at(*copy, as_bytes(bytes), 0) || !sync_data(*copy) || !folder->sync()) return;
  segment.keep = false;
  bound_quarantine(*folder);
}

void Spool::bound_quarantine(const Directory& folder) {
  const auto names = folder.names();
  if (!names) return;
  std::uint64_t sum = 0;
  // Names begin with the number of the segment, so the last are the youngest.
  for (auto name = names->rbegin(); name != names->rend(); ++name) {
    const auto file = folder.open_file(*name, false);
    if (file) sum += file_bytes(*file).value_or(0);
    if (sum > options_.quarantine_bytes) (void)folder.remove(*name);
  }
}

Result<Sequence> Spool::append(std::string_view lane, Bytes payload, WallTime time) {
  if (failed_) return fail(ErrorCode::kIo, "the disk failed before; the spool accepts nothing more");
  if (lane.size() > kMaxLaneBytes) {
    return fail(ErrorCode::kBadData, fmt::format("lane of {} bytes, the limit is {}", lane.size(), kMaxLaneBytes));
  }
  if (payload.size() > options_.max_record_bytes) {
    return fail(ErrorCode::kBadData, fmt::format("record of {} bytes, the limit is {}", payload.size(),
                                                 print_size(options_.max_record_bytes)));
  }
  // Under kDropNewest nobody offers it again.
  const auto no_room = [&](Error error) {
    if (options_.on_full == OnFull::kDropNewest && error.code == ErrorCode::kUnavailable) ++counted_.refused;
    return tl::make_unexpected(std::move(error));
  };
  if (uncommitted_) return no_room(*uncommitted_);
  const std::size_t size = record_bytes(lane.size(), payload.size());
  if (auto room = make_room(size); !room) return no_room(std::move(room).error());
  auto found = index_.lanes.find(lane);
  if (found == index_.lanes.end()) {
    if (index_.lanes.size() >= options_.max_lanes) forget_lanes(index_);
    if (index_.lanes.size() >= options_.max_lanes) {
      return fail(ErrorCode::kRefused, fmt::format("{} lanes are in use, the limit", options_.max_lanes));
    }
    found = index_.lanes.try_emplace(std::string(lane)).first;
  }
  if (auto shared = check_share(found->second, size); !shared) return fail(std::move(shared));
  const Sequence sequence = index_.next++;
  const std::size_t begin = pending_bytes_.size();
  append_record(pending_bytes_, index_.segments[active_number_].seed, {sequence, time, lane, payload});
  // Keeps the lane from being forgotten before its record is in the index.
  found->second.last_segment = active_number_;
  pending_.push_back({&*found, sequence, begin, size});
  if (options_.fsync == Fsync::kAlways) {
    if (auto committed = commit_pending(); !committed) return no_room(std::move(committed).error());
  }
  return sequence;
}

bool Spool::over_share(const Lane& lane, std::size_t size_bytes) const {
  return index_.lanes.size() > 1 && lane.bytes + size_bytes > options_.max_bytes / kShareDivisor;
}

// The last part of the spool is for lanes that have not had their share: one that does not drain must not stop them.
// Under kDropOldest such a lane makes room itself.
Result<void> Spool::check_share(const Lane& lane, std::size_t size_bytes) {
  if (options_.on_full == OnFull::kDropOldest || !over_share(lane, size_bytes) ||
      used_bytes() <= options_.max_bytes - options_.max_bytes / kShareDivisor) {
    return {};
  }
  if (options_.on_full == OnFull::kDropNewest) ++counted_.refused;
  return fail(ErrorCode::kRefused, fmt::format("the lane holds {} bytes, its share of a spool of {}", lane.bytes,
                                               print_size(options_.max_bytes)));
}

// Sees to it that the active segment can take a record behind what is pending.
Result<void> Spool::make_room(std::size_t size_bytes) {
  const auto fits = [&] {
    if (active_number_ == 0) return false;
    const Segment& segment = index_.segments[active_number_];
    return segment.used_bytes + pending_bytes_.size() + size_bytes <= segment.size_bytes;
  };
  if (fits()) return {};
  if (auto committed = commit_pending(); !committed) {
    uncommitted_ = committed.error();
    return committed;
  }
  if (fits()) return {};  // a commit that had to change segments, or copied records forward, made room
  if (active_number_ != 0 && index_.segments[active_number_].unfinished == 0) {
    seal();
    free_segments();
  }
  const std::uint64_t wanted = std::max<std::uint64_t>(options_.segment_bytes, kSegmentHeaderBytes + size_bytes);
  auto space = make_space(wanted);
  if (space && !fits()) space = roll(size_bytes, Purpose::kAppend);
  if (space || space.error().code != ErrorCode::kUnavailable) return space;
  full_ = true;
  return space;
}

Result<bool> Spool::has_space(std::uint64_t segment_bytes) const {
  const std::uint64_t reserve = spare_bytes_ == 0 ? options_.segment_bytes : 0;
  // Once full, it accepts again when 5 % are free, so that it does not toggle with every record.
  const std::uint64_t limit = full_ ? options_.max_bytes - options_.max_bytes / 20 : options_.max_bytes;
  if (used_bytes() + segment_bytes + reserve > limit) return false;
  const auto space = directory_.space();
  if (!space) return fail(Result<Directory::Space>(space));
  const std::uint64_t left =
      options_.min_free_bytes.value_or(std::max<std::uint64_t>(std::uint64_t{16} << 20U, space->size_bytes / 20));
  return space->free_bytes >= left && space->free_bytes - left >= segment_bytes + reserve;
}

Result<void> Spool::make_space(std::uint64_t segment_bytes) {
  for (;;) {
    const auto enough = has_space(segment_bytes);
    if (!enough) return fail(Result<bool>(enough));
    if (*enough) {
      full_ = false;
      return {};
    }
    if (expire_all() || copy_forward()) continue;
    if (options_.on_full == OnFull::kDropOldest && drop_oldest()) continue;
    return fail(ErrorCode::kUnavailable, fmt::format("the spool is full: {} of {} are used", print_size(used_bytes()),
                                                     print_size(options_.max_bytes)));
  }
}

// Makes another segment the active one. Copies take the file held in reserve, which no append may use.
Result<void> Spool::roll(std::size_t record_size_bytes, Purpose purpose) {
  std::uint64_t size = std::max<std::uint64_t>(options_.segment_bytes, kSegmentHeaderBytes + record_size_bytes);
  const std::uint32_t number = index_.next_segment;
  const std::string name = segment_name(number);
  const bool use_spare = purpose == Purpose::kCopy && spare_bytes_ >= size;
  if (use_spare) size = spare_bytes_;
  auto file = use_spare ? directory_.open_file(kSpareName, true) : directory_.create(name, size);
  if (!file) return fail(std::move(file));
  std::string header;
  append_segment_header(header, {number, *index_.id, index_.next});
  Result<void> done = write_at(*file, as_bytes(header), 0);
  if (done && use_spare) {
    done = directory_.rename(kSpareName, name);
    if (done) spare_bytes_ = 0;
  }
  if (done) done = directory_.sync();
  if (!done) {
    // A name that may or may not be durable is not used for another file.
    ++index_.next_segment;
    if (spare_bytes_ == 0 || !use_spare) (void)directory_.remove(name);
    return done;
  }
  seal();
  Segment& segment = index_.segments[number];
  segment.size_bytes = size;
  segment.used_bytes = kSegmentHeaderBytes;
  segment.seed = record_seed(*index_.id, number);
  segment_bytes_sum_ += segment.size_bytes;
  ++index_.next_segment;
  active_ = std::move(*file);
  active_number_ = number;
  if (purpose == Purpose::kAppend) keep_spare();
  return {};
}

// The active segment grows no more; its unused end is given back.
void Spool::seal() {
  if (active_number_ == 0) return;
  Segment& segment = index_.segments[active_number_];
  if (segment.used_bytes < segment.size_bytes && truncate(active_, segment.used_bytes)) {
    segment_bytes_sum_ -= segment.size_bytes - segment.used_bytes;
    segment.size_bytes = segment.used_bytes;
  }
  active_ = {};
  active_number_ = 0;
}

void Spool::keep_spare() {
  if (spare_bytes_ > 0 || used_bytes() + options_.segment_bytes > options_.max_bytes) return;
  if (directory_.create(kSpareName, options_.segment_bytes)) spare_bytes_ = options_.segment_bytes;
}

Result<void> Spool::commit() {
  if (auto error = std::exchange(uncommitted_, std::nullopt)) return tl::make_unexpected(*std::move(error));
  return commit_pending();
}

Result<void> Spool::commit_pending() {
  if (pending_.empty()) return {};
  auto written = write_pending();
  if (!written) {
    // The kernel may have dropped the pages of a failed sync and call them clean: the same file is never synced again.
    ++counted_.write_errors;
    const bool full = written.error().code == ErrorCode::kUnavailable;
    const std::uint32_t seed = index_.segments[active_number_].seed;
    seal();
    written = move_pending(seed);
    if (written) written = write_pending();
    if (!written) {
      if (active_number_ != 0) seal();
      failed_ = !full || written.error().code != ErrorCode::kUnavailable;
      full_ = full_ || !failed_;
      pending_.clear();
      pending_bytes_.clear();
      return written;
    }
  }
  accept_pending();
  // Lanes that do not drain must not hold much more space than they fill.
  if (is_sparse()) copy_forward();
  return {};
}

Result<void> Spool::write_pending() {
  const std::uint64_t at = index_.segments[active_number_].used_bytes;
  if (auto written = write_at(active_, as_bytes(pending_bytes_), at); !written) return written;
  return options_.fsync == Fsync::kOff ? Result<void>() : sync_active();
}

Result<void> Spool::sync_active() {
  const MonotonicTime start = monotonic_now();
  auto synced = sync_data(active_);
  const std::chrono::nanoseconds took = monotonic_now() - start;
  ++counted_.syncs;
  if (!synced) ++counted_.sync_errors;
  counted_.sync_time += took;
  const auto bound = std::lower_bound(kSyncBounds.begin(), kSyncBounds.end(), took);
  ++counted_.sync_counts.at(static_cast<std::size_t>(bound - kSyncBounds.begin()));
  return synced;
}

// Encodes what is pending once more, for a new active segment.
Result<void> Spool::move_pending(std::uint32_t old_seed) {
  if (auto rolled = roll(pending_bytes_.size(), Purpose::kCopy); !rolled) return rolled;
  const std::string old = std::exchange(pending_bytes_, {});
  for (Pending& pending : pending_) {
    const auto record = decode_record(as_bytes(old).subspan(pending.begin, pending.size_bytes), old_seed);
    if (!record) return fail(ErrorCode::kBug, "a pending record does not decode");
    pending.begin = pending_bytes_.size();
    append_record(pending_bytes_, index_.segments[active_number_].seed, *record);
    pending.lane->second.last_segment = active_number_;
  }
  return {};
}

// What is pending is durable in the active segment.
void Spool::accept_pending() {
  Segment& segment = index_.segments[active_number_];
  for (const Pending& pending : pending_) {
    Entry entry{pending.sequence, active_number_};
    entry.offset = static_cast<std::uint32_t>(segment.used_bytes + pending.begin) & 0x7FFFFFFFU;
    entry.size_bytes = static_cast<std::uint32_t>(pending.size_bytes);
    auto& [name, lane] = *pending.lane;
    if (filled_ && lane.unfinished == lane.in_flight) filled_->push_back(name);
    lane.entries.push_back(entry);
    lane.newest = pending.sequence;
    ++lane.unfinished;
    lane.bytes += pending.size_bytes;
  }
  const auto count = static_cast<std::uint32_t>(pending_.size());
  segment.records += count;
  segment.unfinished += count;
  segment.used_bytes += pending_bytes_.size();
  unfinished_bytes_ += pending_bytes_.size();
  accepted_ += count;
  unfinished_ += count;
  pending_.clear();
  pending_bytes_.clear();
}

// Whether less than half of the space that is taken, beyond some slack, holds unfinished records.
bool Spool::is_sparse() const {
  const std::uint64_t slack = kMinSegments * options_.segment_bytes;
  if (segment_bytes_sum_ <= slack) return false;
  std::uint64_t filled = 0;
  for (const auto& [number, segment] : index_.segments) {
    if (segment.records > 0) filled += segment.used_bytes * segment.unfinished / segment.records;
  }
  return segment_bytes_sum_ > slack + 2 * filled;
}

// Frees the segment that holds the smallest share of unfinished records by copying these behind all others. Only where
// that gives back at least half of it.
bool Spool::copy_forward() {
  std::uint32_t chosen = 0;
  double least = 0.5;
  for (const auto& [number, segment] : index_.segments) {
    if (number == active_number_ || segment.keep || segment.records == 0) continue;
    const double share = static_cast<double>(segment.unfinished) / segment.records;
    if (share > least) continue;
    least = share;
    chosen = number;
  }
  return chosen != 0 && copy_segment(chosen);
}

// Nothing is pending. A copy has the sequence of its record, and so its place in the lane.
bool Spool::copy_segment(std::uint32_t number) {
  Segment& from = index_.segments[number];
  const auto file = directory_.open_file(segment_name(number), false);
  std::string bytes;
  if (!file || !read_at(*file, 0, from.size_bytes, bytes)) return false;
  struct Found {
    Lane* lane;
    Record record;
  };
  std::vector<Found> records;
  std::size_t size = 0;
  SegmentScanner scanner(as_bytes(bytes), from.seed);
  while (const auto found = scanner.next()) {
    const auto lane = index_.lanes.find(found->record.lane);
    if (lane == index_.lanes.end()) continue;
    const auto entry = lane->second.find(found->record.sequence);
    if (entry == lane->second.entries.end() || entry->sequence != found->record.sequence || entry->finished ||
        entry->segment != number) {
      continue;
    }
    records.push_back({&lane->second, found->record});
    size += found->size_bytes;
  }
  if (records.size() != from.unfinished) {
    from.keep = true;  // damaged since it was written: what is left of it stays where it is
    return false;
  }
  if (!records.empty()) {
    const bool fits = active_number_ != 0 &&
                      index_.segments[active_number_].used_bytes + size <= index_.segments[active_number_].size_bytes;
    if (!fits && !roll(size, Purpose::kCopy)) return false;
    Segment& to = index_.segments[active_number_];
    for (const Found& found : records) append_record(pending_bytes_, to.seed, found.record);
    if (!write_pending()) {
      ++counted_.write_errors;
      pending_bytes_.clear();
      seal();
      return false;
    }
    for (const Found& found : records) {
      const auto entry = found.lane->find(found.record.sequence);
      entry->segment = active_number_;
      entry->offset = static_cast<std::uint32_t>(to.used_bytes) & 0x7FFFFFFFU;
      to.used_bytes += record_bytes(found.record.lane.size(), found.record.payload.size());
      found.lane->last_segment = active_number_;
    }
    const auto count = static_cast<std::uint32_t>(records.size());
    to.records += count;
    to.unfinished += count;
    from.unfinished = 0;
    counted_.copied += count;
    pending_bytes_.clear();
  }
  free_segments();
  keep_spare();
  return !index_.segments.contains(number);
}

// A lane that has had its share gives up its own records; otherwise the oldest segment goes.
bool Spool::drop_oldest() {
  for (const auto& [name, lane] : index_.lanes) {
    if (over_share(lane, 0)) return drop_front(name, lane);
  }
  for (const auto& [number, segment] : index_.segments) {
    if (number == active_number_ || segment.keep) continue;
    const std::uint32_t dropped = number;
    std::vector<std::pair<std::string, std::pair<Sequence, Sequence>>> ranges;
    for (auto& [name, lane] : index_.lanes) {
      const auto in_segment = [&](const Entry& entry) { return entry.segment == dropped && !entry.finished; };
      for (auto entry = std::find_if(lane.entries.begin(), lane.entries.end(), in_segment); entry != lane.entries.end();
           entry = std::find_if(entry, lane.entries.end(), in_segment)) {
        const Sequence first = entry->sequence;
        Sequence last = first;
        for (; entry != lane.entries.end() && entry->segment == dropped; ++entry) last = entry->sequence;
        ranges.push_back({name, {first, last}});
      }
    }
    for (const auto& [name, range] : ranges) finish(name, range.first, range.second, Outcome::kDropped);
    free_segments();
    return !index_.segments.contains(dropped);
  }
  return false;
}

// Drops the oldest records of one lane, as many as one segment holds.
bool Spool::drop_front(const std::string& name, const Lane& lane) {
  const Entry first = lane.entries.front();
  Sequence last = first.sequence;
  for (const Entry& entry : lane.entries) {
    if (entry.segment != first.segment) break;
    last = entry.sequence;
  }
  return finish(std::string(name), first.sequence, last, Outcome::kDropped) > 0;
}

// A time that no sound clock can have had says nothing about age, nor does a clock that was set in the meantime.
bool Spool::is_expired(const Message& message) const {
  const WallTime now = wall_now();
  if (message.time < kEarliestTime || message.time > now || now - message.time <= *options_.max_age) return false;
  return message.sequence < opened_next_ || monotonic_now() - opened_ > *options_.max_age;
}

// Drops what is too old and not in flight from the front of a lane.
void Spool::expire(const std::string& name, Lane& lane) {
  Sequence first = 0;
  Sequence last = 0;
  for (auto entry = lane.find(lane.cursor); entry != lane.entries.end(); ++entry) {
    if (entry->finished) continue;
    const auto message = read(*entry);
    if (!message || !*message || !is_expired(**message)) break;
    if (first == 0) first = entry->sequence;
    last = entry->sequence;
  }
  if (first != 0) counted_.expired += finish(std::string(name), first, last, Outcome::kDropped);
}

// Looks through all lanes; whether anything was dropped.
bool Spool::expire_all() {
  if (!options_.max_age || monotonic_now() < next_expiry_) return false;
  next_expiry_ = monotonic_now() + kExpiryInterval;
  const std::uint64_t before = counted_.expired;
  std::vector<std::string> names;
  for (const auto& [name, lane] : index_.lanes) names.push_back(name);
  for (const std::string& name : names) {
    if (const auto lane = index_.lanes.find(name); lane != index_.lanes.end()) expire(name, lane->second);
  }
  return counted_.expired > before;
}

// Progress is made durable first: a range that told of the records of a removed segment is not missed.
void Spool::free_segments() {
  std::vector<std::uint32_t> empty;
  for (const auto& [number, segment] : index_.segments) {
    if (number != active_number_ && segment.unfinished == 0 && !segment.keep) empty.push_back(number);
  }
  if (empty.empty() || !make_progress_durable()) return;
  for (const std::uint32_t number : empty) {
    if (const auto removed = directory_.remove(segment_name(number));
        !removed && removed.error().code != ErrorCode::kNoInput) {
      ++counted_.write_errors;
      continue;
    }
    if (reading_number_ == number) {
      reading_ = {};
      reading_number_ = 0;
    }
    segment_bytes_sum_ -= index_.segments[number].size_bytes;
    index_.segments.erase(number);
    names_dirty_ = true;
  }
  if (full_ && has_space(options_.segment_bytes).value_or(false)) full_ = false;
}

Result<std::vector<Message>> Spool::next(std::string_view lane, std::size_t max_records, std::size_t max_bytes) {
  std::vector<Message> messages;
  auto found = index_.lanes.find(lane);
  if (options_.max_age && found != index_.lanes.end()) {
    expire(found->first, found->second);
    found = index_.lanes.find(lane);  // it may be forgotten now
  }
  if (found == index_.lanes.end()) return messages;
  Lane& queue = found->second;
  std::size_t bytes = 0;
  std::vector<Sequence> damaged;
  for (auto entry = queue.find(queue.cursor); entry != queue.entries.end() && messages.size() < max_records; ++entry) {
    if (entry->finished) continue;
    auto message = read(*entry);
    if (!message) {
      if (messages.empty()) return fail(std::move(message));
      break;
    }
    bytes += *message ? (*message)->payload.size() : 0;
    if (!messages.empty() && bytes > max_bytes) break;
    queue.cursor = entry->sequence + 1;
    ++queue.in_flight;
    ++in_flight_;
    if (*message) {
      messages.push_back(std::move(**message));
    } else {
      index_.segments[entry->segment].keep = true;
      damaged.push_back(entry->sequence);
    }
  }
  for (const Sequence sequence : damaged) finish(lane, sequence, sequence, Outcome::kDamaged);
  return messages;
}

Result<std::optional<Message>> Spool::find(std::string_view lane, Sequence sequence) {
  const auto found = index_.lanes.find(lane);
  if (found == index_.lanes.end()) return std::optional<Message>();
  const auto entry = found->second.find(sequence);
  if (entry == found->second.entries.end() || entry->sequence != sequence || entry->finished) {
    return std::optional<Message>();
  }
  return read(*entry);
}

void Spool::rewind(std::string_view lane) {
  const auto found = index_.lanes.find(lane);
  if (found == index_.lanes.end()) return;
  in_flight_ -= found->second.in_flight;
  found->second.in_flight = 0;
  found->second.cursor = 0;
}

std::size_t Spool::finish(std::string_view lane, Sequence first, Sequence last, Outcome outcome) {
  const auto found = index_.lanes.find(lane);
  if (found == index_.lanes.end()) return 0;
  Lane& queue = found->second;
  Range range{outcome, lane, 0, 0, 0};
  std::uint64_t size_bytes = 0;
  bool emptied = false;
  for (auto entry = queue.find(first); entry != queue.entries.end() && entry->sequence <= last; ++entry) {
    if (entry->finished) continue;
    entry->finished = 1U;
    // What is told is what was there: records that are still to come are never in the range.
    if (range.count++ == 0) range.first = entry->sequence;
    range.last = entry->sequence;
    size_bytes += entry->size_bytes;
    Segment& segment = index_.segments[entry->segment];
    emptied |= --segment.unfinished == 0 && entry->segment != active_number_;
    if (entry->sequence < queue.cursor) {
      --queue.in_flight;
      --in_flight_;
    }
  }
  if (range.count == 0) return 0;
  queue.any_finished = true;
  queue.unfinished -= range.count;
  queue.bytes -= size_bytes;
  unfinished_ -= range.count;
  unfinished_bytes_ -= size_bytes;
  totals_.add(outcome, range.count);
  queue.drop_finished_front();
  if (!index_.complete()) index_.carried[std::string(lane)].add(range.first, range.last);
  // The lane may be forgotten from here on.
  tell(range);
  if (emptied) free_segments();
  // Nobody appends while it is full: what is in the way of that is not found otherwise.
  if (full_ && pending_.empty()) copy_forward();
  return range.count;
}

void Spool::tell(const Range& range) {
  if (!acknowledgements_.append(range) && !compact_progress()) progress_behind_ = true;
}

void Spool::recount_dead_letters(Outcome outcome, std::uint64_t count) {
  const auto limited = static_cast<std::uint32_t>(std::min(count, totals_.dead_lettered));
  if (limited == 0) return;
  if (outcome == Outcome::kRequeued) accepted_ -= limited;
  totals_.add(outcome, limited);
  tell({outcome, {}, 0, 0, limited});
}

bool Spool::make_progress_durable() {
  if (!progress_behind_ && acknowledgements_.sync()) return true;
  return compact_progress().has_value();
}

Result<void> Spool::compact_progress() {
  // A removed segment whose removal is not durable may come back, and then its ranges must be there.
  if (names_dirty_) {
    if (auto synced = directory_.sync(); !synced) return synced;
    names_dirty_ = false;
  }
  forget_lanes(index_);
  if (auto compacted = acknowledgements_.compact(directory_, index_, {*index_.id, 0, index_.next, totals_});
      !compacted) {
    ++counted_.write_errors;
    return compacted;
  }
  progress_behind_ = false;
  return {};
}

Result<void> Spool::sync() {
  if (!progress_behind_ && acknowledgements_.sync()) return {};
  return compact_progress();
}

// Nothing where the record is damaged.
Result<std::optional<Message>> Spool::read(const Entry& entry) {
  const std::uint32_t seed = index_.segments[entry.segment].seed;
  if (reading_number_ != entry.segment) {
    auto file = directory_.open_file(segment_name(entry.segment), false);
    if (!file) return fail(std::move(file));
    reading_ = std::move(*file);
    reading_number_ = entry.segment;
    window_offset_ = 0;
    window_.clear();
  }
  const auto decode = [&]() -> std::optional<Message> {
    if (entry.offset < window_offset_ || entry.offset - window_offset_ >= window_.size()) return std::nullopt;
    const auto record = decode_record(as_bytes(window_).subspan(entry.offset - window_offset_), seed);
    if (!record || record->sequence != entry.sequence) return std::nullopt;
    return Message{record->sequence, record->time, std::string(as_text(record->payload))};
  };
  if (auto message = decode()) return message;
  const bool sequential = entry.offset >= window_offset_ && entry.offset <= window_offset_ + window_.size();
  window_offset_ = entry.offset;
  if (auto read = read_at(reading_, entry.offset, sequential ? kSequentialWindowBytes : kRandomWindowBytes, window_);
      !read) {
    window_.clear();
    return fail(std::move(read));
  }
  if (const auto size = decode_record_bytes(as_bytes(window_), seed); size && *size > window_.size()) {
    if (auto read = read_at(reading_, entry.offset, *size, window_); !read) {
      window_.clear();
      return fail(std::move(read));
    }
  }
  return decode();
}

std::vector<std::string> Spool::take_filled() {
  std::vector<std::string> filled;
  if (filled_) {
    filled.swap(*filled_);
    return filled;
  }
  std::vector<LaneSummary> all = lanes();
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const LaneSummary& lane : all) {
    if (lane.queued > 0) filled.emplace_back(lane.lane);
  }
  filled_.emplace();
  return filled;
}

LaneSummary Spool::summary(const std::string& name, const Lane& lane) {
  return {name, lane.unfinished - lane.in_flight, lane.in_flight, lane.bytes, lane.entries.front().sequence};
}

std::vector<LaneSummary> Spool::lanes() const {
  std::vector<LaneSummary> summaries;
  for (const auto& [name, lane] : index_.lanes) {
    if (lane.unfinished > 0) summaries.push_back(summary(name, lane));
  }
  return summaries;
}

std::optional<LaneSummary> Spool::find_lane(std::string_view lane) const {
  const auto found = index_.lanes.find(lane);
  if (found == index_.lanes.end() || found->second.unfinished == 0) return std::nullopt;
  return summary(found->first, found->second);
}

std::optional<WallTime> Spool::oldest() {
  const Entry* oldest = nullptr;
  for (const auto& [name, lane] : index_.lanes) {
    if (lane.unfinished == 0) continue;
    if (oldest == nullptr || lane.entries.front().sequence < oldest->sequence) oldest = &lane.entries.front();
  }
  if (oldest == nullptr) return std::nullopt;
  const auto message = read(*oldest);
  if (!message || !*message) return std::nullopt;
  return (*message)->time;
}

std::optional<std::uint64_t> Spool::free_bytes() const {
  const auto space = directory_.space();
  if (!space) return std::nullopt;
  return space->free_bytes;
}

std::uint64_t Spool::used_bytes() const { return segment_bytes_sum_ + spare_bytes_ + acknowledgements_.bytes(); }

Statistics Spool::statistics() const {
  Statistics statistics = counted_;
  statistics.accepted = accepted_;
  statistics.queued = unfinished_ - in_flight_;
  statistics.in_flight = in_flight_;
  statistics.delivered = totals_.delivered;
  statistics.dead_lettered = totals_.dead_lettered;
  statistics.dropped = totals_.dropped;
  statistics.damaged = totals_.damaged;
  statistics.queued_bytes = unfinished_bytes_;
  statistics.segments = index_.segments.size();
  statistics.bytes = used_bytes();
  return statistics;
}

}  // namespace fieldpipe::spool
