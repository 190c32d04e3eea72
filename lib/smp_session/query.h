// SPDX-License-Identifier: MIT
// A run of smp-query: one command, or a batch of them.
#pragma once

#include "cli/report.h"
#include "io/loop.h"
#include "smp_session/options.h"

namespace fieldpipe::smp_session {

// Does what the words of `options` say, prints results on stdout, and tells `report` what went wrong.
void query(const Options& options, cli::Report& report, io::Loop& loop);

}  // namespace fieldpipe::smp_session
