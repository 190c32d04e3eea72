// SPDX-License-Identifier: MIT
// The CRC-32 of gzip (RFC 1952 section 8), for other formats that use it.
#pragma once

#include <cstdint>

#include "core/bytes.h"

namespace fieldpipe::gzip {

// The CRC-32 of `bytes` behind the bytes that gave `seed`; 0 is the seed of nothing. So
// crc32(crc32(0, a), b) is the CRC of a and b together.
std::uint32_t crc32(std::uint32_t seed, Bytes bytes);

}  // namespace fieldpipe::gzip
