// SPDX-License-Identifier: MIT
// A CAN frame as a value, and the length codes of CAN FD.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/bytes.h"

namespace fieldpipe::can {

// What a line or record of a CAN log stands for. Numbers index per-kind counters.
enum class Kind : std::uint8_t {
  kClassic,  // CAN 2.0 data frame, 0..8 bytes
  kFd,       // CAN FD data frame, 0..64 bytes
  kRemote,   // asks for data, carries none
  kError,    // a report of the kernel, not seen on the bus
  kXl,       // CAN XL; recognised, its data is not kept
};

inline constexpr std::uint32_t kMaxStandardId = 0x7FF;
inline constexpr std::uint32_t kMaxExtendedId = 0x1FFFFFFF;
inline constexpr std::size_t kMaxClassicBytes = 8;
inline constexpr std::size_t kMaxFdBytes = 64;

// A CAN frame. Trivially copyable; `data` beyond `length_bytes` is unspecified, so use payload().
struct Frame {
  std::uint32_t id;  // 11 or 29 bits, no flags; of an error frame its class bits
  bool extended;     // 29-bit identifier
  Kind kind;
  std::uint8_t length_bytes;  // bytes in `data`; of a remote frame the number asked for
  std::uint8_t dlc;           // length code 0..15; a classic frame may carry 9..15 and means 8 bytes
  bool bit_rate_switch;       // CAN FD only
  bool error_state;           // CAN FD only
  std::array<std::byte, kMaxFdBytes> data;

  // The data bytes; none for a remote frame. A view that lives as long as the frame.
  [[nodiscard]] Bytes payload() const { return Bytes(data).first(kind == Kind::kRemote ? 0 : length_bytes); }
};

// Bytes that a length code stands for in CAN FD (ISO 11898-1, table of DLC), for codes 0..15.
inline constexpr std::array<std::uint8_t, 16> kFdLengthOfCode{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64};

// The smallest CAN FD length code that holds a number of bytes, for 0..64.
inline constexpr std::array<std::uint8_t, kMaxFdBytes + 1> kFdCodeOfLength = [] {
  std::array<std::uint8_t, kMaxFdBytes + 1> table{};
  std::uint8_t code = 0;
  for (std::size_t length = 0; length <= kMaxFdBytes; ++length) {
    if (length > kFdLengthOfCode[code]) ++code;
    table[length] = code;
  }
  return table;
}();

}  // namespace fieldpipe::can
