// SPDX-License-Identifier: MIT
// Whole files into memory.
#pragma once

#include <cstddef>
#include <string>

#include "core/result.h"

namespace fieldpipe::io {

// The content of a file. Fails with kNoInput when there is none, kIo when it cannot be read, and kBadData when it has
// more than `max_bytes`; the message names the path.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace fieldpipe::io
