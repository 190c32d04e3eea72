// SPDX-License-Identifier: MIT
// Where records go that the far side refuses for good: kept, bounded, and there to be looked at and tried again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "spool/spool.h"

namespace fieldpipe::spool {

struct DeadLetter {
  Sequence sequence = 0;            // it had in the spool; 0 for a record that was refused at the door
  WallTime time;                    // of acceptance, or of the refusal
  std::string reason;               // a short word, as `oversize`
  std::string detail;               // what else is known, as the start of an answer; nothing secret
  std::uint64_t payload_bytes = 0;  // of the record; more than `payload` has where only its start was kept
  std::string payload;
  bool can_requeue = true;  // false: what is kept is no record, but what was refused in place of one
};

// Appends `letter` as a payload: sequence:8 time:8 payload length:8 reason length:2 detail length:2 can_requeue:1,
// little-endian, then reason, detail and what is kept of the payload. Reason and detail are cut to 65535 bytes.
void append_dead_letter(std::string& out, const DeadLetter& letter);

// Nothing for bytes that are not one.
std::optional<DeadLetter> decode_dead_letter(Bytes bytes);

// What is kept of a payload that is too large to be kept.
inline constexpr std::size_t kKeptBytes = 4096;

// Where dead letters are in the folder of a spool.
inline constexpr const char* kDeadLettersFolder = "dead";

// The dead letters of a spool: a spool of their own in a folder of it, with its own limit, in which the oldest
// make room. A dead letter is named by its lane and its number there.
class DeadLetters {
 public:
  static constexpr std::uint64_t kDefaultMaxBytes = std::uint64_t{8} << 20U;

  // Opens or makes their folder, as Spool::open does. `spool` is told what a crash kept it from
  // hearing; it is the one to give to all other functions.
  static Result<DeadLetters> open(Spool& spool, std::uint64_t max_bytes = kDefaultMaxBytes);

  // Where they are.
  [[nodiscard]] const Spool& store() const { return store_; }

  // Takes a record over from the spool: keeps `letter`, which has its sequence, and finishes the record. Of a payload
  // over half of the store the start is kept. Letters that make room for it count as dropped. After a failure nothing
  // is kept, and the record stays as it was.
  Result<void> take(std::string_view lane, const DeadLetter& letter, Spool& spool);

  // The same for a record that was refused at the door, so with the sequence 0. Durable on return.
  Result<void> add(std::string_view lane, const DeadLetter& letter);

  // The two halves of add(), for many letters that are made durable together.
  Result<void> append(std::string_view lane, const DeadLetter& letter);
  Result<void> commit();

  // The letter, or nothing where there is none with this number.
  Result<std::optional<DeadLetter>> find(std::string_view lane, Sequence number);

  // Drops a letter; whether there was one. As with Spool::finish, a crash may bring it back. Fails with kIo.
  Result<bool> remove(std::string_view lane, Sequence number, Spool& spool);

  // Appends the payload of a letter to `spool` again, behind all others of the lane and with a sequence of its own, and
  // removes it once that is accepted. Whether there was one; one of which only the start was kept, or that
  // is no record, is refused (kBadData).
  Result<bool> requeue(std::string_view lane, Sequence number, Spool& spool);

  // Letters kept now, and given up for want of room since the store was made.
  [[nodiscard]] std::uint64_t kept() const;
  [[nodiscard]] std::uint64_t evicted() const;

 private:
  explicit DeadLetters(Spool store) : store_(std::move(store)) {}

  Result<void> count_taken(Spool* spool = nullptr);
  void settle(Spool& spool) const;
  void forget(std::string_view lane, Sequence number, const DeadLetter& letter, Outcome outcome, Spool& spool);

  Spool store_;
  std::uint64_t taken_ = 0;    // letters kept that were records of the spool
  std::uint64_t evicted_ = 0;  // when these were counted
};

// Shows the dead letters of a spool as inspect() shows its records. None where there never was one.
Result<void> inspect_dead_letters(
    const std::string& spool_directory,
    const std::function<void(std::string_view lane, Sequence number, const DeadLetter&)>& visit);

}  // namespace fieldpipe::spool
