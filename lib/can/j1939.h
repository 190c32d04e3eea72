// SPDX-License-Identifier: MIT
// The parts of a 29-bit identifier in SAE J1939-21: priority 3, extended data page 1, data page 1, PDU format 8, PDU
// specific 8, source address 8.
#pragma once

#include <cstdint>

namespace fieldpipe::can {

// The parameter group number, 18 bits. A PDU format below 240 has the destination in its PDU specific byte, which is no
// part of the number and reads as 0.
constexpr std::uint32_t pgn_of(std::uint32_t id) {
  const std::uint32_t number = id >> 8U & 0x3FFFFU;
  return (number >> 8U & 0xFFU) < 240 ? number & ~0xFFU : number;
}

// The address of the node that sent the frame.
constexpr std::uint8_t source_address_of(std::uint32_t id) { return static_cast<std::uint8_t>(id); }

}  // namespace fieldpipe::can
