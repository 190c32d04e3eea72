// SPDX-License-Identifier: MIT
#include "digest/crc16.h"

#include <array>

namespace fieldpipe::digest {
namespace {

constexpr std::array<std::uint16_t, 256> kTable = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    unsigned rest = i << 8U;
    for (int bit = 0; bit < 8; ++bit) rest = (rest << 1U) ^ ((rest & 0x8000U) != 0 ? 0x1021U : 0U);
    table[i] = static_cast<std::uint16_t>(rest);
  }
  return table;
}();

}  // namespace

std::uint16_t crc16(std::uint16_t seed, Bytes bytes) {
  unsigned crc = seed;
  for (const std::byte byte : bytes)
    crc = ((crc << 8U) & 0xFFFFU) ^ kTable[(crc >> 8U) ^ std::to_integer<unsigned>(byte)];
  return static_cast<std::uint16_t>(crc);
}

}  // namespace fieldpipe::digest
