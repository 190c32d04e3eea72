// SPDX-License-Identifier: MIT
// One chunk taken apart (memfault/memfault-firmware-sdk: components/util/src/memfault_chunk_transport.c).
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "core/bytes.h"
#include "memfault/fault.h"

namespace fieldpipe::memfault {

// The header, and what is behind it.
struct Chunk {
  bool first = false;                // begins a message
  bool more = false;                 // another chunk of the message follows
  bool crc_in_front = false;         // of a first one: the layout before release 0.0.18, where the CRC is here
  std::uint32_t total = 0;           // of a first one with more to follow: bytes of the message
  std::uint32_t offset = 0;          // of a continuation
  std::optional<std::uint16_t> crc;  // crc_in_front: the CRC of the message
  Bytes rest;                        // message bytes, then perhaps CRC and filler
};

// Takes a chunk apart, or says what is wrong with it; the fault's record is 0.
std::variant<Chunk, Fault> decode_chunk(Bytes bytes);

}  // namespace fieldpipe::memfault
