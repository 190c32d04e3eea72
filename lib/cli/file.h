// SPDX-License-Identifier: MIT
// Files that are read whole and at once: configuration, secrets, databases.
#pragma once

#include <cstddef>
#include <string>

#include "core/result.h"

namespace fieldpipe::cli {

// All bytes of the file `path`. Fails with kNoInput when there is none, with `too_large` above `most_bytes`, otherwise
// with kIo; `what` begins with the path.
Result<std::string> read_file(const std::string& path, std::size_t most_bytes, ErrorCode too_large);

}  // namespace fieldpipe::cli
