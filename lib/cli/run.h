// SPDX-License-Identifier: MIT
// The shape of every tool: what it is, what it can be told, what it does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/option_table.h"
#include "cli/report.h"

namespace fieldpipe::cli {

struct Tool {
  std::string_view name;
  std::string_view summary;   // one sentence, no period: first line of --help and of the man page
  std::string_view operands;  // for the usage line, as "[FILE]..."; empty where there are none
  std::string_view example;   // one pipeline, as typed
  bool networked = false;     // reads an implicit configuration file; a pure filter does not
  bool own_config = false;    // --config is an option of the tool, whose file has keys of its own
};

// What happens before and after a tool's own work. Use run() below.
class Invocation {
 public:
  Invocation(const Tool& tool, int argc, char** argv);

  // Declares the options that every tool has, reads all levels, and answers --help, --version and the
  // document generators. False when there is nothing left to do but to finish.
  bool prepare(OptionTable& table, Report& report);

 private:
  const Tool& tool_;
  std::vector<std::string> arguments_;
};

// The three-line main of a tool: `declare` says what can be set (no I/O), `work` does it. Returns the
// exit status; an exception that arrives here is a bug of ours (70).
template <typename Options>
int run(const Tool& tool, void (*declare)(OptionTable&, Options&), void (*work)(const Options&, Report&), int argc,
        char** argv);

void report_bug(Report& report) noexcept;

template <typename Options>
int run(const Tool& tool, void (*declare)(OptionTable&, Options&), void (*work)(const Options&, Report&), int argc,
        char** argv) {
  Report report{std::string(tool.name)};
  try {
    Invocation invocation(tool, argc, argv);
    Options options;
    OptionTable table;
    declare(table, options);
    if (invocation.prepare(table, report)) work(options, report);
  } catch (...) {
    report_bug(report);
  }
  return report.finish();
}

}  // namespace fieldpipe::cli
