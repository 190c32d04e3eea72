// SPDX-License-Identifier: MIT
// What smp-query can be told.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/progress.h"
#include "core/result.h"
#include "smp_session/commands.h"
#include "smp_session/session.h"

namespace fieldpipe::smp_session {

// The values of all options, with their defaults.
struct Options {
  std::string connect;
  SessionSettings session;
  std::string console;  // a file, - for stdout; empty: dropped
  CommandOptions command;
  bool json_errors = false;
  cli::ProgressForm progress = cli::ProgressForm::kAuto;
  std::vector<std::string> words;
};

// Declares all options of smp-query, those of commands included.
void declare(cli::OptionTable& table, Options& options);

// The options of commands alone, as a batch line may have them among its words.
void declare(cli::OptionTable& table, CommandOptions& options);

}  // namespace fieldpipe::smp_session
