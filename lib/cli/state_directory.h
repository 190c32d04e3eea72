// SPDX-License-Identifier: MIT
// Where a tool keeps what must outlive it.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::cli {

// The folder for the state of `tool` when no option says so: the service manager's ($STATE_DIRECTORY), else
// $XDG_STATE_HOME/fieldpipe/`tool`, else ~/.local/state/fieldpipe/`tool`. It need not exist. Fails with kUsage, saying
// that nothing says where `what` is, with `option` as the hint.
Result<std::string> state_directory(std::string_view tool, std::string_view what, std::string_view option);

}  // namespace fieldpipe::cli
