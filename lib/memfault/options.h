// SPDX-License-Identifier: MIT
// Options of the tools that read chunks.
#pragma once

#include "cli/option_table.h"
#include "memfault/chunk_reader.h"

namespace fieldpipe::memfault {

// Declares --from and --topic.
void declare(cli::OptionTable& table, ChunkReaderOptions& options);

}  // namespace fieldpipe::memfault
