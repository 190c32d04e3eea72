// SPDX-License-Identifier: MIT
#include "spool/options.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cli/state_directory.h"

namespace fieldpipe::spool {
namespace {

// Small enough for a disk of a few MiB, and large enough for segments that hold some records each.
constexpr std::uint64_t kLeastMaxBytes = std::uint64_t{256} << 10U;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 50U;
constexpr std::uint64_t kSegmentsInSmallSpool = 16;

}  // namespace

void declare(cli::OptionTable& table, Options& options, std::string_view without) {
  table.section("Spool");
  table.text("spool", "DIR", options.directory, "keep what is accepted here until it is delivered")
      .default_text(std::string(without))
      .completes(cli::Completes::kDirectories);
  table.size("spool-max-bytes", options.max_bytes, kLeastMaxBytes, kMostBytes, "space that the spool may take");
  table
      .size("spool-min-free", options.min_free_bytes, 0, kMostBytes,
            "space that the spool leaves to others on the disk")
      .default_text("16MiB, or 5 % if that is more");
  table.integer("spool-max-lanes", "COUNT", options.max_lanes, std::size_t{1}, std::size_t{1} << 20U,
                "queues that the spool may hold at a time");
  table.choice("on-full", "POLICY", options.on_full,
               {{"block", OnFull::kBlock}, {"drop-oldest", OnFull::kDropOldest}, {"drop-newest", OnFull::kDropNewest}},
               "what to do when the spool is full: wait, or drop and count");
  table.duration("max-age", options.max_age, "drop what could not be delivered for so long").default_text("no limit");
  table.choice("fsync", "WHEN", options.fsync,
               {{"group", Fsync::kGroup}, {"always", Fsync::kAlways}, {"off", Fsync::kOff}},
               "sync records to the disk together, one by one, or not at all");
}

Result<Spool> open(Options options, std::string_view tool, cli::Report& report) {
  if (options.directory.empty()) {
    auto directory = cli::state_directory(tool, "the spool", "--spool DIR");
    if (!directory) return fail(std::move(directory));
    options.directory = *std::move(directory);
  }
  options.segment_bytes = std::min(options.segment_bytes, options.max_bytes / kSegmentsInSmallSpool);
  options.acknowledgement_bytes = std::min(options.acknowledgement_bytes, options.segment_bytes);
  if (options.fsync == Fsync::kOff) report.warn("--fsync off: a power cut loses what was accepted");
  auto spool = Spool::open(std::move(options));
  if (!spool) return tl::make_unexpected(std::move(spool).error().in("spool"));
  tell_damage(*spool, report);
  return spool;
}

void tell_damage(const Spool& spool, cli::Report& report) {
  const Statistics statistics = spool.statistics();
  if (statistics.quarantined_bytes > 0) {
    report.warn(fmt::format("spool: {}: {} damaged bytes, a copy is in quarantine/", spool.directory(),
                            statistics.quarantined_bytes));
  }
  if (statistics.foreign_segments > 0) {
    report.warn(fmt::format("spool: {}: {} segments of another version or spool, or unreadable: left alone",
                            spool.directory(), statistics.foreign_segments));
  }
}

}  // namespace fieldpipe::spool
