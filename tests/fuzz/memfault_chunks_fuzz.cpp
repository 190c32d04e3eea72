// SPDX-License-Identifier: MIT
// Whatever chunks of two devices say, a message has its CRC and at most the bytes allowed, and the counts add up.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "digest/crc16.h"
#include "memfault/assembler.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxMessageBytes = 200;
  memfault::Assembler assembler(kMaxMessageBytes);
  Bytes rest = std::as_bytes(std::span(data, size));
  std::uint64_t chunks = 0;
  std::uint64_t messages = 0;
  // A byte of device and length in front of each chunk.
  while (!rest.empty()) {
    const auto head = std::to_integer<unsigned>(rest[0]);
    const Bytes chunk = rest.subspan(1, std::min<std::size_t>(head >> 1U, rest.size() - 1));
    rest = rest.subspan(1 + chunk.size());
    const auto message = assembler.take((head & 1U) != 0 ? "a" : "b", chunk, ++chunks);
    if (!message) continue;
    ++messages;
    if (message->bytes.empty() || message->bytes.size() > kMaxMessageBytes || message->record != chunks) std::abort();
    if (digest::crc16(0, message->bytes) != message->crc) std::abort();
  }
  assembler.finish(chunks);
  const memfault::DeviceCounts counts = assembler.counts();
  if (counts.chunks != chunks || counts.messages != messages || counts.messages + counts.lost > chunks) std::abort();
  return 0;
}
