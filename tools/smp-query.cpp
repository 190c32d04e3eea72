// SPDX-License-Identifier: MIT
// smp-query: ask a device who it is, and update it, over serial lines, UDP and Bluetooth.
#include "cli/run.h"
#include "io/options.h"
#include "smp_session/options.h"
#include "smp_session/query.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "smp-query",
    .summary = "ask a device over SMP (MCUmgr), and update it",
    .operands = "COMMAND [OPERAND]...",
    .example = "smp-query -c udp:10.0.0.7 memfault | jq .",
    .networked = true,
};

struct Options {
  smp_session::Options query;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  smp_session::declare(table, options.query);
  io::declare(table, options.stop);
  table.operands("WORD", options.query.words, "a command and its operands, or - for requests on stdin")
      .suggests(smp_session::command_words());
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  smp_session::query(options.query, report, *loop);
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
