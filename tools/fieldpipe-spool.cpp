// SPDX-License-Identifier: MIT
// fieldpipe-spool: what is in a spool, whether it is sound, and what becomes of its dead letters.
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cli/run.h"
#include "core/text.h"
#include "io/loop.h"
#include "io/options.h"
#include "io/output.h"
#include "spool/dead_letters.h"
#include "spool/directory.h"
#include "spool/listing.h"
#include "spool/options.h"
#include "spool/spool.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "fieldpipe-spool",
    .summary = "show what a spool holds, check it, and handle its dead letters",
    .operands = "COMMAND DIR [NUMBER]...",
    .example = "fieldpipe-spool list --dead /var/spool/car | jq .",
};

constexpr std::string_view kCommands = "list, check, export, requeue or drop, and DIR";

struct Options {
  bool dead = false;
  bool all = false;
  std::vector<std::string> operands;
  io::OutputOptions output;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  table.section("Spool");
  table.flag("dead", options.dead, "list or export the dead letters, not the records");
  table.flag("all", options.all, "requeue or drop every dead letter");
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table
      .operands("COMMAND DIR [NUMBER]", options.operands,
                "what to do, the folder of the spool, and dead letters by their numbers")
      .completes(cli::Completes::kDirectories)
      .suggests({"list", "check", "export", "requeue", "drop"});
}

// Requeues or drops the letters with these numbers, or all.
Result<void> handle_letters(const Options& options, const std::string& command, const std::string& directory,
                            cli::Report& report) {
  std::vector<spool::Sequence> numbers;
  for (std::size_t i = 2; i < options.operands.size(); ++i) {
    const auto number = parse_integer<spool::Sequence>(options.operands[i]);
    if (!number || *number == 0) {
      return fail(ErrorCode::kUsage, fmt::format("'{}' is no number of a dead letter", printable(options.operands[i])));
    }
    numbers.push_back(*number);
  }
  if (numbers.empty() != options.all) {
    return fail(ErrorCode::kUsage, fmt::format("{}: either numbers of dead letters or --all", command),
                "list --dead shows them");
  }
  spool::Options settings;
  settings.directory = directory;
  // The owner's own limits are not known here.
  settings.max_bytes = std::uint64_t{1} << 50U;
  settings.max_record_bytes = spool::kMaxPayloadBytes;
  settings.max_lanes = std::numeric_limits<std::size_t>::max();
  auto spool = spool::Spool::open(std::move(settings));
  if (!spool) return fail(std::move(spool));
  auto letters = spool::DeadLetters::open(*spool);
  if (!letters) return fail(std::move(letters));
  spool::tell_damage(*spool, report);
  spool::tell_damage(letters->store(), report);
  std::map<spool::Sequence, std::string> lanes;
  auto shown = spool::inspect_dead_letters(directory, [&](std::string_view lane, spool::Sequence number,
                                                          const spool::DeadLetter&) { lanes.emplace(number, lane); });
  if (!shown) return shown;
  if (options.all) {
    for (const auto& [number, lane] : lanes) numbers.push_back(number);
  }
  std::uint64_t done = 0;
  for (const spool::Sequence number : numbers) {
    const auto lane = lanes.find(number);
    auto handled = lane == lanes.end()    ? Result<bool>(false)
                   : command == "requeue" ? letters->requeue(lane->second, number, *spool)
                                          : letters->remove(lane->second, number, *spool);
    if (!handled && handled.error().code != ErrorCode::kBadData) return fail(std::move(handled));
    if (!handled) {
      report.partial(handled.error().what);
    } else if (!*handled) {
      report.partial(fmt::format("dead letter {}: there is none", number));
    } else {
      ++done;
    }
  }
  report.say(fmt::format("{}: {} of {} dead letters", command, done, numbers.size()));
  return spool->sync();
}

Result<void> show(const Options& options, const std::string& command, const std::string& directory, io::Loop& loop,
                  cli::Report& report) {
  auto out = io::Output::open(options.output.path, false);
  if (!out) return fail(std::move(out));
  Result<void> shown;
  // Of an output that failed nothing more is heard: it drops what comes after.
  const auto pass_on = [&] {
    if (!out->full()) return;
    if (auto flushed = out->flush(loop); !flushed && shown) shown = std::move(flushed);
  };
  const spool::Listing listing{out->buffer(), pass_on, command == "export"};
  Result<void> listed;
  if (command == "check") {
    auto faults = spool::list_damage(directory, listing);
    if (!faults) listed = fail(std::move(faults));
    if (faults.value_or(0) > 0) report.partial(fmt::format("{}: damaged or foreign in {} places", directory, *faults));
  } else {
    listed = options.dead ? spool::list_dead_letters(directory, listing) : spool::list_records(directory, listing);
  }
  if (shown) shown = std::move(listed);
  auto finished = out->finish(loop);
  return shown ? finished : shown;
}

Result<void> execute(const Options& options, io::Loop& loop, cli::Report& report) {
  if (options.operands.size() < 2) {
    return fail(ErrorCode::kUsage, "a command and a folder are needed", std::string(kCommands));
  }
  const std::string& command = options.operands[0];
  const std::string& directory = options.operands[1];
  const bool handles = command == "requeue" || command == "drop";
  if (!handles && command != "list" && command != "check" && command != "export") {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no command", printable(command)), std::string(kCommands));
  }
  if (!handles && options.operands.size() > 2) {
    return fail(ErrorCode::kUsage, fmt::format("{}: unexpected operand", printable(options.operands[2])));
  }
  if (options.all && !handles)
    return fail(ErrorCode::kUsage, fmt::format("{}: --all is for requeue and drop", command));
  if (options.dead && command != "list" && command != "export") {
    return fail(ErrorCode::kUsage, fmt::format("{}: --dead is for list and export", command));
  }
  // A folder that is not there is not made.
  if (auto there = spool::Directory::open(directory, false); !there) return fail(std::move(there));
  return handles ? handle_letters(options, command, directory, report)
                 : show(options, command, directory, loop, report);
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto done = execute(options, *loop, report); !done) report.fail(done.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
