// SPDX-License-Identifier: MIT
#include "memfault/fault.h"

#include <fmt/format.h>

namespace fieldpipe::memfault {
namespace {

std::string describe(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kShortChunk: return fmt::format("{} bytes are too few for what the chunk says", fault.got);
    case FaultKind::kBadVarint: return "a length or offset that is no 32-bit number";
    case FaultKind::kReservedCfg: return fmt::format("CFG {} is reserved here", fault.got);
    case FaultKind::kNonzeroChannel: return fmt::format("channel {} is reserved", fault.got);
    case FaultKind::kOrphanContinuation:
      return fmt::format("offset {} of a message whose beginning is missing", fault.got);
    case FaultKind::kOffsetOutOfRange:
      return fmt::format("offset {} in a message of {} bytes", fault.got, fault.wanted);
    case FaultKind::kGap: return fmt::format("offset {} where {} was expected", fault.got, fault.wanted);
    case FaultKind::kDuplicate: return fmt::format("the bytes at offset {} are held already", fault.got);
    case FaultKind::kConflict: return fmt::format("the bytes at offset {} differ from those held", fault.got);
    case FaultKind::kInterleaved: return "two messages at a time, as of two devices under one name";
    case FaultKind::kRestart: return "the message begins again";
    case FaultKind::kSuperseded:
      return fmt::format("another message begins, {} of {} bytes were there", fault.got, fault.wanted);
    case FaultKind::kIncomplete:
      return fmt::format("the end is missing, {} of {} bytes were there", fault.got, fault.wanted);
    case FaultKind::kShortMessage:
      return fmt::format("the last chunk ends a message of {} bytes after {}", fault.wanted, fault.got);
    case FaultKind::kCrcMismatch: return fmt::format("{:04x}, the message says {:04x}", fault.got, fault.wanted);
    case FaultKind::kTooLarge: return fmt::format("a message of {} bytes, the limit is {}", fault.got, fault.wanted);
  }
  return {};
}

}  // namespace

std::string_view print_fault_kind(FaultKind kind) {
  switch (kind) {
    case FaultKind::kShortChunk: return "short_chunk";
    case FaultKind::kBadVarint: return "bad_varint";
    case FaultKind::kReservedCfg: return "reserved_cfg";
    case FaultKind::kNonzeroChannel: return "nonzero_channel";
    case FaultKind::kOrphanContinuation: return "orphan_continuation";
    case FaultKind::kOffsetOutOfRange: return "offset_out_of_range";
    case FaultKind::kGap: return "gap";
    case FaultKind::kDuplicate: return "duplicate";
    case FaultKind::kConflict: return "conflict";
    case FaultKind::kInterleaved: return "interleaved";
    case FaultKind::kRestart: return "restart";
    case FaultKind::kSuperseded: return "superseded";
    case FaultKind::kIncomplete: return "incomplete";
    case FaultKind::kShortMessage: return "short_message";
    case FaultKind::kCrcMismatch: return "crc_mismatch";
    case FaultKind::kTooLarge: return "too_large";
  }
  return {};
}

std::string print_fault(const Fault& fault) {
  return fmt::format("{}: {}", print_fault_kind(fault.kind), describe(fault));
}

bool is_loss(FaultKind kind) {
  return kind != FaultKind::kDuplicate && kind != FaultKind::kRestart && kind != FaultKind::kGap;
}

}  // namespace fieldpipe::memfault
