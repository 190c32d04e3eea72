// SPDX-License-Identifier: MIT
// The options that say where the spool is and what it may hold: the same in all tools that have one.
#pragma once

#include <string_view>

#include "cli/option_table.h"
#include "cli/report.h"
#include "core/result.h"
#include "spool/spool.h"

namespace fieldpipe::spool {

// Declares --spool, --spool-max-bytes, --spool-min-free, --spool-max-lanes, --on-full, --max-age and --fsync under a
// heading of their own. `without` is what --help says of a run without --spool.
void declare(cli::OptionTable& table, Options& options, std::string_view without);

// Opens the spool that the options say. Without --spool it is the service manager's state directory
// ($STATE_DIRECTORY), else $XDG_STATE_HOME/fieldpipe/`tool`, else ~/.local/state/fieldpipe/`tool`; a tool that has no
// spool then does not call this. Segments are smaller in a spool of less than 16 MiB. Fails as Spool::open does, and
// with kUsage where nothing says where to put it.
Result<Spool> open(Options options, std::string_view tool, cli::Report& report);

// Warns of what Spool::open() or DeadLetters::open() found damaged or left alone; open() above has done so.
void tell_damage(const Spool& spool, cli::Report& report);

}  // namespace fieldpipe::spool
