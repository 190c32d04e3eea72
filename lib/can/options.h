// SPDX-License-Identifier: MIT
// Options on CAN frames that more than one tool has, and what they open.
#pragma once

#include <string>
#include <vector>

#include "can/databases.h"
#include "can/frame_reader.h"
#include "can/frame_text.h"
#include "can/line_time.h"
#include "can/selection.h"
#include "cli/option_table.h"
#include "cli/report.h"

namespace fieldpipe::can {

// Declares --times and --time-base.
void declare(cli::OptionTable& table, LineTimeRules& rules);

// Tells what a reader of frames has noticed.
void report_reader(const FrameReaderCounts& counts, cli::Report& report);

// The rules with the reader's time zone. Fails with kUsage when only one of the two options was given.
Result<LineTimeRules> line_time_rules(LineTimeRules rules);

struct DatabaseOptions {
  std::vector<std::string> files;  // [BUS=]FILE
  bool strict = false;
  bool j1939 = false;
};

// Declares --dbc, --strict-dbc and --j1939.
void declare(cli::OptionTable& table, DatabaseOptions& options);

// Reads the files. What is wrong in them is a warning, a line each for the first ones, and with --strict-dbc an error
// (kBadData). Fails also when a file cannot be read.
Result<Databases> open_databases(const DatabaseOptions& options, cli::Report& report);

// Declares --only, --choices, --units, --flat, --unknown, and --to in a section of its own.
void declare(cli::OptionTable& table, FrameWriterOptions& options);

// Tells what a writer of frames has not printed.
void report_writer(const FrameWriter& writer, cli::Report& report);

struct SelectionOptions {
  std::vector<std::string> select;  // ID|NAME[:RATE] or @FILE
  std::string sample_rate;
};

// Declares --select and --sample-rate.
void declare(cli::OptionTable& table, SelectionOptions& options);

// What they select. Fails with kUsage for a name that no database has, and when a file cannot be read.
Result<Sampler> open_sampler(const SelectionOptions& options, const Databases& databases);

}  // namespace fieldpipe::can
