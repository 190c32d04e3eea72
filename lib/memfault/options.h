// SPDX-License-Identifier: MIT
// Options of the tools that read chunks.
#pragma once

#include <string>

#include "cli/option_table.h"
#include "memfault/chunk_reader.h"

namespace fieldpipe::memfault {

// Declares --from and --topic.
void declare(cli::OptionTable& table, ChunkReaderOptions& options);

// Declares --device: the serial of the device whose chunks come without one.
void declare_device(cli::OptionTable& table, std::string& device);

}  // namespace fieldpipe::memfault
