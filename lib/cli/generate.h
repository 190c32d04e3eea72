// SPDX-License-Identifier: MIT
// Documents made from an option table: --help, the OPTIONS section of a man page, completions.
#pragma once

#include <string>
#include <string_view>

#include "cli/option_table.h"
#include "cli/run.h"
#include "core/result.h"

namespace fieldpipe::cli {

// What --help prints: at most 80 columns.
std::string help_text(const Tool& tool, const OptionTable& table);

// A document by kind: `man` (the body of OPTIONS in mdoc(7)), `bash`, `zsh`, `fish` (a completion
// script each), `options` (one line an option, for the tests). Fails with kUsage for another kind.
Result<std::string> generated_text(const Tool& tool, const OptionTable& table, std::string_view kind);

}  // namespace fieldpipe::cli
