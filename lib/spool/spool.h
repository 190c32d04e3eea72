// SPDX-License-Identifier: MIT
// The durable queue between a program and a far side that may be gone for days: nothing accepted is lost.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"
#include "spool/acknowledgements.h"
#include "spool/directory.h"
#include "spool/format.h"
#include "spool/index.h"

namespace fieldpipe::spool {

// What happens to a record for which there is no room.
enum class OnFull : std::uint8_t {
  kBlock,       // it is refused, and the caller waits until something was delivered
  kDropOldest,  // the oldest segment is dropped as a whole, whatever lanes it holds
  kDropNewest,  // it is refused and counted, and the caller goes on
};

// When what was appended goes to the disk.
enum class Fsync : std::uint8_t {
  kGroup,   // all of it at once in commit()
  kAlways,  // each record by itself in append()
  kOff,     // when the system sees fit: a power cut loses what was accepted
};

struct Options {
  std::string directory;
  std::uint64_t max_bytes = std::uint64_t{64} << 20U;  // of all segments and acknowledgement files
  std::optional<std::uint64_t> min_free_bytes;         // left to others on the disk; by default 16 MiB, or 5 % if more
  std::uint64_t segment_bytes = std::uint64_t{1} << 20U;
  std::uint64_t acknowledgement_bytes = std::uint64_t{256} << 10U;  // of each of the two files
  std::size_t max_record_bytes = std::size_t{1} << 20U;             // of a payload; never more than half of max_bytes
  std::size_t max_lanes = 4096;
  OnFull on_full = OnFull::kBlock;
  std::optional<std::chrono::nanoseconds> max_age;  // older records are dropped; nothing: none is too old
  Fsync fsync = Fsync::kGroup;
  std::uint64_t quarantine_bytes = std::uint64_t{8} << 20U;  // beside max_bytes; the oldest go first
};

// Upper bounds of the classes of Statistics::sync_counts; the last class has none.
inline constexpr std::array<std::chrono::milliseconds, 8> kSyncBounds{
    std::chrono::milliseconds{1},   std::chrono::milliseconds{2},   std::chrono::milliseconds{5},
    std::chrono::milliseconds{10},  std::chrono::milliseconds{50},  std::chrono::milliseconds{100},
    std::chrono::milliseconds{500}, std::chrono::milliseconds{2000}};

// accepted = queued + in_flight + delivered + dead_lettered + dropped + damaged, at every instant and after every
// crash.
struct Statistics {
  std::uint64_t accepted = 0;   // since the spool was made, and so for the other records
  std::uint64_t queued = 0;     // not handed out
  std::uint64_t in_flight = 0;  // handed out by next() and not finished
  std::uint64_t delivered = 0;
  std::uint64_t dead_lettered = 0;  // and still kept, see DeadLetters
  std::uint64_t dropped = 0;
  std::uint64_t damaged = 0;       // accepted, and the disk did not give them back when they were to be handed out
  std::uint64_t queued_bytes = 0;  // in segments, of what is queued and in flight
  // From here on since open().
  std::uint64_t recovered = 0;  // records found unfinished by open()
  std::uint64_t refused = 0;    // by append() under kDropNewest
  std::uint64_t expired = 0;    // of the dropped ones: older than max_age
  std::uint64_t copied = 0;     // records copied forward
  std::uint64_t syncs = 0;      // of records, and so for the other figures about syncs
  std::uint64_t sync_errors = 0;
  std::chrono::nanoseconds sync_time{0};
  std::array<std::uint64_t, kSyncBounds.size() + 1> sync_counts{};  // by how long they took
  std::uint64_t write_errors = 0;
  std::uint64_t quarantined_bytes = 0;  // damaged bytes found by open()
  std::uint64_t foreign_segments = 0;   // of another version or spool, or unreadable: left alone
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;  // what counts against max_bytes
};

// A record on its way out.
struct Message {
  Sequence sequence = 0;
  WallTime time;  // of acceptance; the clock may have been wrong
  std::string payload;
};

struct LaneSummary {
  std::string_view lane;  // valid until the spool changes
  std::size_t queued = 0;
  std::size_t in_flight = 0;
  std::uint64_t bytes = 0;  // of both in segments
  Sequence first = 0;       // of the oldest unfinished record
};

// A spool in a folder that it owns until it is destroyed. Not for use by two threads at once.
//
//   auto spool = Spool::open({.directory = "/var/spool/car"});
//   spool->append("lane", payload);              // any number of records
//   spool->commit();                             // one fdatasync: now they are accepted, and only now say so
//   auto batch = spool->next("lane", 100, 65536);
//   ... deliver ...
//   spool->finish("lane", batch->front().sequence, batch->back().sequence);
class Spool {
 public:
  // Opens or makes the spool and recovers what a crash left. Content never makes it fail: damaged bytes are copied to
  // quarantine/ and stepped over. Fails with kUnavailable when another process owns the folder, kConfig when others may
  // enter it, kUsage for limits that cannot work, kIo and kUnavailable when the disk does not let a new spool be made.
  static Result<Spool> open(Options options);

  Spool(Spool&&) noexcept = default;
  Spool& operator=(Spool&&) = delete;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();  // gives unused space back; what was not committed is gone

  // Takes a record in, to be accepted by the next successful commit(). `lane` is any key of up to 1024 bytes. May
  // commit what was appended before; where that fails, so do all calls until the next commit(), which tells of it.
  // Fails with
  //   kUnavailable  the spool or the disk is full: finish() something first
  //   kRefused      this lane would be one too many, or the spool is nearly full and this lane has had its share of it;
  //                 others work
  //   kBadData      the lane or the payload is over its limit
  //   kIo           the disk failed a commit for good; nothing more is accepted until the spool is opened again
  Result<Sequence> append(std::string_view lane, Bytes payload, WallTime time = wall_now());

  // Makes all that was appended durable with one fdatasync. After a failure nothing of it is accepted, and it is gone
  // from the spool; its sequences are not used again. (A failed write is repeated once, in a new segment, never a sync
  // of the same bytes.)
  Result<void> commit();

  // The next records of a lane in order, at least one if there is any, at most `max_records`, and no more than
  // `max_bytes` of payload but for the first. They are in flight from now on. A record that was damaged since open() is
  // counted and stepped over. Fails with kIo when the disk does not read: to go on behind the record at fault, which is
  // the first of the lane that is not in flight, finish it as kDamaged.
  Result<std::vector<Message>> next(std::string_view lane, std::size_t max_records, std::size_t max_bytes);

  // An unfinished record, in flight or not, which it stays. Nothing where there is none, or where it was damaged. Fails
  // with kIo.
  Result<std::optional<Message>> find(std::string_view lane, Sequence sequence);

  // Queues what is in flight in the lane again; next() starts over with the oldest unfinished record.
  void rewind(std::string_view lane);

  // The records of the lane from `first` to `last` are done, in any order, and the space of segments that hold nothing
  // else is freed. Needs no free block on the disk. Becomes durable some time later, which never loses a record but may
  // repeat one. Returns how many records it finished.
  std::size_t finish(std::string_view lane, Sequence first, Sequence last, Outcome outcome = Outcome::kDelivered);

  // Makes what was finished durable, so that no crash repeats it.
  Result<void> sync();

  // The lanes that had nothing to hand out and have now, since the last call; the first call gives all that have,
  // by the age of their oldest record. So who serves many lanes need not look at each of them in turn.
  std::vector<std::string> take_filled();

  // The lanes that have unfinished records, in no order.
  [[nodiscard]] std::vector<LaneSummary> lanes() const;

  // One of these; nothing where the lane has no unfinished record.
  [[nodiscard]] std::optional<LaneSummary> find_lane(std::string_view lane) const;

  [[nodiscard]] Statistics statistics() const;
  [[nodiscard]] const std::string& directory() const { return directory_.path(); }

  // The longest payload that append() takes.
  [[nodiscard]] std::size_t max_record_bytes() const { return options_.max_record_bytes; }

  // When the oldest unfinished record was accepted, as the clock had it then. Nothing where there is none, or where the
  // disk does not read.
  std::optional<WallTime> oldest();

  // Bytes that the file system has left, whatever min_free_bytes says. Nothing where it does not tell.
  [[nodiscard]] std::optional<std::uint64_t> free_bytes() const;

  // `count` of the records finished as kDeadLettered are dead letters no more: kEvicted or kRequeued. DeadLetters calls
  // it.
  void recount_dead_letters(Outcome outcome, std::uint64_t count);

  // Whether append() refused for want of room, and nothing has been freed since that would let it go on.
  [[nodiscard]] bool full() const { return full_; }

 private:
  struct Pending {
    Lanes::value_type* lane = nullptr;
    Sequence sequence = 0;
    std::size_t begin = 0;  // in pending_bytes_
    std::size_t size_bytes = 0;
  };
  enum class Purpose : std::uint8_t { kAppend, kCopy };

  Spool(Options options, Directory directory, io::Descriptor lock, Index index);
  static LaneSummary summary(const std::string& name, const Lane& lane);

  Result<void> start();
  void quarantine(const Index::Damage& damage);
  void bound_quarantine(const Directory& folder);
  void trim(std::uint32_t number, Segment& segment);

  Result<void> make_room(std::size_t size_bytes);
  Result<void> make_space(std::uint64_t segment_bytes);
  [[nodiscard]] Result<bool> has_space(std::uint64_t segment_bytes) const;
  Result<void> roll(std::size_t record_size_bytes, Purpose purpose);
  void seal();
  void keep_spare();

  Result<void> commit_pending();
  Result<void> write_pending();
  Result<void> sync_active();
  Result<void> move_pending(std::uint32_t old_seed);
  void accept_pending();

  [[nodiscard]] bool is_sparse() const;
  bool copy_forward();
  bool copy_segment(std::uint32_t number);
  Result<void> check_share(const Lane& lane, std::size_t size_bytes);
  [[nodiscard]] bool over_share(const Lane& lane, std::size_t size_bytes) const;
  bool drop_oldest();
  bool drop_front(const std::string& name, const Lane& lane);
  [[nodiscard]] bool is_expired(const Message& message) const;
  void expire(const std::string& name, Lane& lane);
  bool expire_all();
  void free_segments();

  void tell(const Range& range);
  bool make_progress_durable();
  Result<void> compact_progress();

  Result<std::optional<Message>> read(const Entry& entry);
  [[nodiscard]] std::uint64_t used_bytes() const;

  Options options_;
  Directory directory_;
  io::Descriptor lock_;
  Index index_;
  Acknowledgements acknowledgements_;
  Totals totals_;
  Statistics counted_;
  std::uint64_t accepted_ = 0;
  std::uint64_t unfinished_ = 0;
  std::uint64_t unfinished_bytes_ = 0;
  std::uint64_t in_flight_ = 0;
  MonotonicTime opened_;                 // with
  Sequence opened_next_ = 0;             // as the next sequence
  MonotonicTime next_expiry_{};          // not before this are all lanes looked through
  std::uint64_t segment_bytes_sum_ = 0;  // of the sizes of all segments
  std::uint64_t spare_bytes_ = 0;        // of the file held in reserve; 0: there is none

  io::Descriptor active_;            // the segment that grows
  std::uint32_t active_number_ = 0;  // 0: none
  std::vector<Pending> pending_;
  std::string pending_bytes_;
  std::optional<Error> uncommitted_;  // why append() could not commit what was pending; commit() has not told it yet

  std::optional<std::vector<std::string>> filled_;  // for take_filled(), once it was called

  io::Descriptor reading_;  // the segment read last, and a window of it
  std::uint32_t reading_number_ = 0;
  std::uint64_t window_offset_ = 0;
  std::string window_;

  bool names_dirty_ = false;      // something was removed, and the folder not synced since
  bool progress_behind_ = false;  // something finished is in no acknowledgement file
  bool full_ = false;
  bool failed_ = false;  // nothing more is accepted
};

}  // namespace fieldpipe::spool
