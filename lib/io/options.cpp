// SPDX-License-Identifier: MIT
#include "io/options.h"

namespace fieldpipe::io {

void declare(cli::OptionTable& table, OutputOptions& options) {
  table.text("output", "FILE", options.path, "write to this file, which appears when it is complete")
      .letter('o')
      .completes(cli::Completes::kFiles)
      .default_text("stdout");
}

void declare(cli::OptionTable& table, StopOptions& options) {
  table.duration("stop-timeout", options.stop_timeout, "time limit for finishing after INT, TERM or HUP");
}

}  // namespace fieldpipe::io
