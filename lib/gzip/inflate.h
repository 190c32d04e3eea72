// SPDX-License-Identifier: MIT
// Gzip (RFC 1952) back to bytes, for input nobody vouches for.
#pragma once

#include <cstddef>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::gzip {

// Appends what the gzip member `in` holds. `in` must be exactly one member: a stream that is cut, is damaged (its CRC
// and length are checked) or has bytes behind it is refused with kBadData and the offset where reading stopped, and so
// is one that holds more than `max_bytes`. What it allocates stays below twice that and 50 kB, whatever the stream
// claims. `out` is as it was after a failure.
Result<void> inflate(Bytes in, std::size_t max_bytes, std::string& out);

}  // namespace fieldpipe::gzip
