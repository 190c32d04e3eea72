// SPDX-License-Identifier: MIT
#include "memfault/chunk.h"

#include "memfault/varint.h"

namespace fieldpipe::memfault {
namespace {

constexpr unsigned kContinuationBit = 0x80;
constexpr unsigned kMoreBit = 0x40;
constexpr std::size_t kCrcBytes = 2;

}  // namespace

std::variant<Chunk, Fault> decode_chunk(Bytes bytes) {
  const auto fault = [](FaultKind kind, std::uint64_t got) { return Fault{kind, 0, got, 0}; };
  if (bytes.size() < 2) return fault(FaultKind::kShortChunk, bytes.size());
  const auto header = std::to_integer<unsigned>(bytes[0]);
  const unsigned cfg = header >> 3U & 7U;
  const unsigned channel = header & 7U;
  Chunk chunk;
  chunk.first = (header & kContinuationBit) == 0;
  chunk.more = (header & kMoreBit) != 0;
  chunk.rest = bytes.subspan(1);
  if (channel != 0) return fault(FaultKind::kNonzeroChannel, channel);
  if (cfg > (chunk.first ? 1U : 0U)) return fault(FaultKind::kReservedCfg, cfg);
  chunk.crc_in_front = chunk.first && cfg == 0;
  if (!chunk.first || chunk.more) {
    const auto number = take_varint(chunk.rest);
    if (!number) return fault(FaultKind::kBadVarint, 0);
    (chunk.first ? chunk.total : chunk.offset) = *number;
  }
  if (chunk.crc_in_front) {
    if (chunk.rest.size() < kCrcBytes) return fault(FaultKind::kShortChunk, bytes.size());
    chunk.crc = load_le<std::uint16_t>(chunk.rest.data());
    chunk.rest = chunk.rest.subspan(kCrcBytes);
  }
  return chunk;
}

}  // namespace fieldpipe::memfault
