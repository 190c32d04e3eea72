// SPDX-License-Identifier: MIT
// The run-length coding of coredumps (memfault/memfault-firmware-sdk: components/util/src/memfault_rle.c).
#pragma once

#include <cstddef>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::memfault {

// Appends what `coded` stands for to `out`: records of a zigzag-coded LEB128 count n, then for n > 0 one byte that is
// repeated n times, for n < 0 as many bytes as they are. Fails with kBadData and the offset of the record: a count of 0
// or of more than 32 bits, an end in the middle, more than `max_bytes` in all. `out` then holds what was before.
Result<void> decode_rle(Bytes coded, std::size_t max_bytes, std::string& out);

}  // namespace fieldpipe::memfault
