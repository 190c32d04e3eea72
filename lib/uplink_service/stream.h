// SPDX-License-Identifier: MIT
// One stream: points that come in, batches that go out, and what lies between them on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "spool/spool.h"
#include "uplink/batch.h"
#include "uplink/configuration.h"

namespace fieldpipe::uplink_service {

// Records of one lane of the spool; none for a stream in memory.
struct Range {
  spool::Sequence first = 0;
  spool::Sequence last = 0;
};

// A message for the broker and the points it stands for.
struct Handover {
  std::string payload;
  Range range;
  std::size_t points = 0;
};

// A record of the spool is one point, not a batch: so a line is as safe in a batch that is half full as in one that is
// gone, what is counted is what an application sent, and after a restart or an outage the backlog is cut into batches
// anew, which makes full ones of those that a timer had closed. The newest batch is kept as text beside the spool; all
// others are read back when their turn comes.
//
// Points that were appended count from accept() on, which the owner calls when the spool has committed them.
class Stream {
 public:
  // `packet_bytes` is what a message may take with its topic and header. `spool` is null for a stream in memory, and
  // outlives the stream; what it holds for this stream goes out first.
  Stream(uplink::StreamSettings settings, std::string topic, std::size_t packet_bytes, bool live_first,
         spool::Spool* spool);

  [[nodiscard]] const uplink::StreamSettings& settings() const { return settings_; }
  [[nodiscard]] const std::string& topic() const { return topic_; }

  // Takes the JSON text of a point. Fails with kBadData for one that no message can hold, otherwise as Spool::append.
  Result<void> append(std::string_view point);

  // Points appended since the last accept() or discard().
  [[nodiscard]] std::size_t staged() const { return staged_.size(); }

  // What was appended is durable.
  void accept(MonotonicTime now);

  // It is not, or not all of it: forgets it. What the spool holds all the same goes out once more if it comes again.
  void discard();

  // Takes a message that no spool has.
  void push(std::string_view point);

  // When the open batch goes out half full; nothing while there is none.
  [[nodiscard]] std::optional<MonotonicTime> flush_at() const { return flush_at_; }
  void flush(MonotonicTime now);

  // Since when a batch waits that was closed lately. What lies in the spool behind it does not count.
  [[nodiscard]] std::optional<MonotonicTime> live_since() const;

  // Whether there may be something to hand over. A batch that is open is nothing yet.
  [[nodiscard]] bool has_message() const {
    return !unspooled_.empty() || !waiting_.empty() || !fetched_.empty() || stored_ > 0;
  }

  // The same without what only the spool holds.
  [[nodiscard]] bool has_live() const { return !unspooled_.empty() || !waiting_.empty(); }

  // The next message, live data first. Fails with kIo when the spool does not read.
  Result<std::optional<Handover>> take();

  // A message has been dealt with. The spool is told by settle(), of messages in a row at once.
  void finish(const Handover& message, spool::Outcome outcome);
  void settle();

  // Everything that was handed over is to be handed over again, where the spool has it.
  void requeue();

  // And this, which no spool has, before all others.
  void take_back(Handover message) { unspooled_.push_front(std::move(message)); }

  // Whether all but the backlog of the spool is delivered.
  [[nodiscard]] bool idle() const { return unspooled_.empty() && open_.empty() && waiting_.empty() && in_flight_ == 0; }

  // Points that wait in memory only, and how many such points were dropped.
  [[nodiscard]] std::size_t in_memory() const;
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  // Points that the spool dropped while they were under way, and that arrived all the same.
  [[nodiscard]] std::uint64_t dropped_delivered() const { return dropped_delivered_; }

 private:
  struct Staged {
    spool::Sequence sequence;
    std::size_t size_bytes;
  };
  struct Closed {
    Handover message;
    MonotonicTime since;
  };
  struct Fetched {
    spool::Message record;
    bool behind_gap;  // other records of the lane, in flight already, lie before it
  };

  void close(MonotonicTime now);
  void keep_in_memory(Closed closed);
  Result<void> fetch();
  [[nodiscard]] std::vector<Range>::const_iterator behind(spool::Sequence sequence) const;
  [[nodiscard]] bool is_in_flight(spool::Sequence sequence) const;
  std::optional<Handover> take_waiting();
  std::optional<Handover> take_fetched();
  [[nodiscard]] bool follows_done(const Range& range, spool::Outcome outcome) const;
  void give_up_text();
  [[nodiscard]] std::size_t unfinished() const;

  uplink::StreamSettings settings_;
  std::string topic_;
  uplink::BatchLimits limits_;
  bool live_first_;
  spool::Spool* spool_;

  std::vector<Staged> staged_;
  std::string staged_text_;

  uplink::Batch open_;
  Range open_range_;
  std::optional<MonotonicTime> flush_at_;

  std::deque<Handover> unspooled_;  // as they go out
  std::deque<Closed> waiting_;      // with a spool at most one; then the newest, or the only one that is not sent
  std::size_t waiting_bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_delivered_ = 0;

  std::size_t stored_ = 0;       // points of closed batches that are in the spool only and not in fetched_
  std::deque<Fetched> fetched_;  // handed out by the spool
  std::size_t fetched_bytes_ = 0;
  bool gap_ = false;      // a record in flight was passed since the last one in fetched_
  bool overran_ = false;  // the spool handed out records that are held as text

  std::vector<Range> in_flight_ranges_;  // in the spool, by their first
  std::size_t in_flight_points_ = 0;     // of these
  std::size_t in_flight_ = 0;            // messages

  std::optional<Range> done_;  // finished, and the spool does not know it yet
  std::size_t done_points_ = 0;
  spool::Outcome done_outcome_ = spool::Outcome::kDelivered;
};

}  // namespace fieldpipe::uplink_service
