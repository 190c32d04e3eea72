// SPDX-License-Identifier: MIT
// All streams of the service: which there are, what they have accepted, and whose message is next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "spool/spool.h"
#include "uplink/configuration.h"
#include "uplink/payload.h"
#include "uplink_service/stream.h"

namespace fieldpipe::uplink_service {

// A message under way and the stream it came from.
struct Ticket {
  Stream* stream = nullptr;
  Handover message;
};

// Streams of the configuration, streams that an application has named, and those that the spools still hold points of.
// The stream action_status lives in a spool of its own, so that a full spool of data holds no status up.
class Streams {
 public:
  // All parameters outlive the object.
  Streams(const uplink::Configuration& configuration, const uplink::Device& device, spool::Spool& data,
          spool::Spool& statuses, spool::OnFull on_full);

  // Takes a point in, to be accepted by the next successful commit(). Fails with
  //   kBadData      the point, or a new stream, is refused
  //   kUnavailable  there is no room now
  //   kIo           its spool takes nothing any more
  Result<void> append(const uplink::Payload& point);

  // The same for a status in the form it goes up in.
  Result<void> append_status(std::string_view point);

  // The same for what the spool of statuses keeps of actions, in the lane `lane`.
  Result<spool::Sequence> append_note(std::string_view lane, Bytes note);

  // A status that the spool does not take: it waits in memory.
  void push_status(std::string_view point) { status_->push(point); }

  // What a commit has made durable, in each spool.
  struct Committed {
    Result<void> points;
    Result<void> statuses;  // and notes

    // The first failure.
    [[nodiscard]] const Result<void>& all() const { return points ? statuses : points; }
  };

  // Makes what was appended durable and so accepted. Where a spool fails nothing of it is, as far as its sender is to
  // know.
  Committed commit(MonotonicTime now);

  // Closes the batches whose time has come, and with `all` every one.
  void flush(MonotonicTime now, bool all);
  [[nodiscard]] std::optional<MonotonicTime> flush_at() const;

  // The next message to hand over. Streams of a higher priority first, then by topic; with live data first the stream
  // whose newest batch has waited longest before any backlog. With `live_only` what lies in the spools stays there.
  // Fails with kIo where a spool does not read and no other stream has a message.
  Result<std::optional<Ticket>> next(bool live_only = false);

  // Messages have been dealt with; settle() makes them final, all that came together at once.
  void finish(const Ticket& ticket, spool::Outcome outcome);
  void settle();

  // None of what was handed over and not finished has arrived: all of it is handed over again. `tickets` are those
  // messages, in the order in which they were handed over; those that no spool has keep their payload.
  void requeue(std::vector<Ticket> tickets);

  // Whether all but the backlog of the spools is delivered.
  [[nodiscard]] bool idle() const;

  struct Counts {
    std::uint64_t accepted = 0;           // points
    std::uint64_t delivered = 0;          // points
    std::uint64_t messages = 0;           // delivered
    std::uint64_t in_memory = 0;          // points that wait in memory only
    std::uint64_t dropped = 0;            // and those that were dropped from there
    std::uint64_t dropped_delivered = 0;  // by a spool, and they arrived all the same
    std::size_t streams = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  Stream& add(uplink::StreamSettings settings);
  Result<Stream*> find(std::string_view name);
  Result<void> append(Stream& stream, std::string_view point);

  const uplink::Configuration& configuration_;
  const uplink::Device& device_;
  spool::OnFull on_full_;  // what the spool of data does
  spool::Spool& data_;
  spool::Spool& statuses_;

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::unique_ptr<Stream>, TextHash, std::equal_to<>> streams_;
  std::vector<Stream*> ordered_;  // by priority, then topic
  Stream* status_ = nullptr;
  std::size_t unnamed_ = 0;  // streams that the configuration does not name

  std::vector<Stream*> touched_;  // since the last commit
  std::string scratch_;
  Counts counts_;
};

}  // namespace fieldpipe::uplink_service
