// SPDX-License-Identifier: MIT
// Options of tools that wait and write: the output file and the stop time limit.
#pragma once

#include <chrono>
#include <string>

#include "cli/option_table.h"

namespace fieldpipe::io {

struct OutputOptions {
  std::string path;  // empty: stdout
};

struct StopOptions {
  std::chrono::nanoseconds stop_timeout = std::chrono::seconds(10);
};

// Declares -o, --output.
void declare(cli::OptionTable& table, OutputOptions& options);

// Declares --stop-timeout.
void declare(cli::OptionTable& table, StopOptions& options);

}  // namespace fieldpipe::io
