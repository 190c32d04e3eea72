// SPDX-License-Identifier: MIT
// The way into the spool: each record is checked, made durable, and only then answered.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace fieldpipe::relay {

// A record as a source hands it in. Views, used by take() only.
struct Incoming {
  bool anonymous = false;                  // a form of input that has no place for a device and a key
  std::optional<std::string_view> device;  // nothing: the record names none
  std::optional<std::string_view> project_key;
  std::string_view chunk;        // where there is a refusal: what was refused, or its start
  std::string_view refusal;      // a short word why the source could make no chunk of it; empty: it did
  std::string_view detail;       // more about the refusal, for the dead letter
  std::uint64_t size_bytes = 0;  // where `chunk` is the start only: of the whole; 0: it is all
};

struct DoorSettings {
  std::string device;  // of records that name none; empty: there has to be one
  // Whether a project key is configured for the device. Such a key is preferred to the record's own, and stays out of
  // the spool.
  std::function<bool(std::string_view device)> has_key;
  spool::OnFull on_full = spool::OnFull::kBlock;  // as of the spool
  bool answers = false;                           // append a line of JSON for each record (--ack)
};

// Counted since the start of the process; the spool's Statistics count what was accepted.
struct DoorCounts {
  std::uint64_t received = 0;  // records handed in
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t, std::less<>> rejected;  // by reason

  [[nodiscard]] std::uint64_t rejected_sum() const;
};

// A turn of the owner is: take() what is there, then commit() once, and after it acknowledge to the source what was
// taken: with one fdatasync for all of them (group commit). What is refused is answered like what is accepted, after it
// was written to the dead letters, because one bad record must not hold up its sender for ever.
class Door {
 public:
  // A commit is due when so much was taken, or the oldest of it has waited for so long.
  static constexpr std::size_t kBatchBytes = std::size_t{1} << 20U;
  static constexpr std::size_t kBatchRecords = 4096;
  static constexpr std::chrono::milliseconds kBatchAge{50};
  // A lane that has had its share of the spool holds everything up for so long, and for as long as nothing is delivered
  // of others either. After that it is the lane that is stuck, and its records are refused.
  static constexpr std::chrono::seconds kShareGrace{1};

  // All of these must outlive the door. `out` gets the answers.
  Door(spool::Spool& spool, spool::DeadLetters& dead_letters, DoorSettings settings, std::string& out);

  // Takes a record in. To be called only while open(). Fails for an anonymous record when no device (kUsage) or no key
  // (kDenied) is configured.
  Result<void> take(const Incoming& record);

  // Room for one more record: nothing waits for the spool, and the batch is not complete.
  [[nodiscard]] bool open() const { return !blocked_ && !due(); }

  // Something is to be committed.
  [[nodiscard]] bool pending() const { return !batch_.empty(); }
  [[nodiscard]] bool due() const;

  // Makes all that was taken durable and answers it. When there is no room, what did not fit stays in hand: blocked(),
  // and the next commit tries again. Fails with kIo when the disk failed; what is not answered then was not accepted.
  Result<void> commit();

  // What was taken has no room in the spool.
  [[nodiscard]] bool blocked() const { return blocked_; }

  // Why, while it has none.
  [[nodiscard]] const std::string& blocked_by() const { return blocked_by_; }

  // Records taken that are neither accepted nor refused.
  [[nodiscard]] std::size_t unanswered() const { return batch_.size(); }

  [[nodiscard]] const DoorCounts& counts() const { return counts_; }

 private:
  struct Record {
    std::uint64_t number = 0;  // of the input, from 1
    std::string lane;
    std::string chunk;
    bool is_chunk = false;  // one that can be sent, whatever else there is against it
    std::string reason;     // empty: it is wanted
    std::string detail;
    std::uint64_t size_bytes = 0;
    WallTime time;
    spool::Sequence sequence = 0;
    bool stored = false;  // in the spool, and only the answer is to come
  };

  [[nodiscard]] Result<void> check_configured() const;
  void check(const Incoming& from, Record& record) const;
  Result<void> append();
  [[nodiscard]] bool is_stuck(const spool::LaneSummary& lane);
  void mark_stored(std::uint64_t count);
  Result<void> settle();
  Result<void> bury(const Record& record);
  void answer(const Record& record);

  spool::Spool& spool_;
  spool::DeadLetters& dead_letters_;
  DoorSettings settings_;
  std::string& out_;
  std::vector<Record> batch_;
  std::size_t batch_bytes_ = 0;
  MonotonicTime oldest_{};
  bool blocked_ = false;
  std::string blocked_by_;

  // A lane over its share, and where it was when it was first seen so.
  struct OverShare {
    spool::Sequence first = 0;
    std::uint64_t delivered = 0;  // of all lanes
    MonotonicTime since;
    bool stuck = false;
  };
  std::map<std::string, OverShare, std::less<>> over_share_;
  DoorCounts counts_;
};

}  // namespace fieldpipe::relay
