// SPDX-License-Identifier: MIT
// What can be wrong with a device's chunks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fieldpipe::memfault {

enum class FaultKind : std::uint8_t {
  kShortChunk,          // too short for what its header says
  kBadVarint,           // total or offset does not end in the chunk, or has more than 32 bits; `got` is nothing
  kReservedCfg,         // got: the CFG bits
  kNonzeroChannel,      // got: the channel
  kOrphanContinuation,  // of a message whose beginning was not seen; got: the offset
  kOffsetOutOfRange,    // got: the offset, wanted: the total
  kGap,                 // got: the offset, wanted: the offset that was expected
  kDuplicate,           // what is held already; got: the offset
  kConflict,            // other bytes than those held; got: the offset
  kInterleaved,         // a conflict after one message displaced another: two devices under one name
  kRestart,             // the same message from its beginning
  kSuperseded,          // an unfinished message displaced by another; got: bytes held, wanted: the total
  kIncomplete,          // a message whose end never came; got: bytes held, wanted: the total
  kShortMessage,        // the last chunk comes before the total; got: bytes, wanted: the total
  kCrcMismatch,         // got: the CRC computed, wanted: the CRC sent
  kTooLarge,            // got: the total, wanted: the limit
};
inline constexpr std::size_t kFaultKinds = 16;

struct Fault {
  FaultKind kind{};
  std::uint64_t record = 0;  // of the chunk, numbered as the caller does
  std::uint64_t got = 0;
  std::uint64_t wanted = 0;

  bool operator==(const Fault&) const = default;
};

// `gap`, `crc_mismatch`.
std::string_view print_fault_kind(FaultKind kind);

// One sentence: `gap: offset 54 where 36 was expected`.
std::string print_fault(const Fault& fault);

// Whether bytes of a message are missing because of it. A duplicate and a restart lose nothing, and a gap may be closed
// by a chunk that comes late.
bool is_loss(FaultKind kind);

}  // namespace fieldpipe::memfault
