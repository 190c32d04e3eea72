// SPDX-License-Identifier: MIT
// CRC-16/XMODEM, the checksum of Memfault messages and of SMP frames on a console.
#pragma once

#include <cstdint>

#include "core/bytes.h"

namespace fieldpipe::digest {

// The CRC-16/XMODEM (polynomial 0x1021, initial value 0, not reflected; 0x31C3 for "123456789") of `bytes` behind the
// bytes that gave `seed`; 0 is the seed of nothing. So crc16(crc16(0, a), b) is the CRC of a and b together.
std::uint16_t crc16(std::uint16_t seed, Bytes bytes);

}  // namespace fieldpipe::digest
