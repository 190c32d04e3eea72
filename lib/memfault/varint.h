// SPDX-License-Identifier: MIT
// The number format of chunk headers and of run lengths.
#pragma once

#include <cstdint>
#include <optional>

#include "core/bytes.h"

namespace fieldpipe::memfault {

// Takes an unsigned LEB128 number (seven bits a byte, the low ones first) from the front of `bytes`. Nothing when it
// does not end there or in five bytes, or has more than 32 bits; `bytes` is then as it was.
std::optional<std::uint32_t> take_varint(Bytes& bytes);

}  // namespace fieldpipe::memfault
