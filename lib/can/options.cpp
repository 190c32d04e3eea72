// SPDX-License-Identifier: MIT
#include "can/options.h"

#include <ctime>

#include <fmt/format.h>

#include "cli/file.h"
#include "core/clock.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

// Faults of a file that get a line each; the rest is counted.
constexpr std::size_t kMaxReported = 10;

constexpr std::size_t kMaxSelectionBytes = std::size_t{1} << 20U;

Result<void> read_time_base(LineTimeRules& rules, std::string_view text) {
  auto time = text == "now" ? Result<WallTime>(wall_now()) : parse_wall_time(text);
  if (!time) return fail(std::move(time));
  rules.base_ns = time->time_since_epoch().count();
  return {};
}

// Calendar times of candump -tA and of ASC files are in the reader's zone.
std::int64_t local_to_utc(std::int64_t second) {
  const std::time_t as_if_utc = second;
  std::tm calendar{};
  ::gmtime_r(&as_if_utc, &calendar);
  calendar.tm_isdst = -1;
  return ::mktime(&calendar);
}

std::string frames(std::uint64_t count) { return fmt::format("{} {}", count, count == 1 ? "frame" : "frames"); }

// `BUS=FILE`, or FILE alone; a path with an equal sign needs the bus or a ./ in front.
std::pair<std::string, std::string> split_bus(const std::string& text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string::npos || text.substr(0, sign).find('/') != std::string::npos) return {"", text};
  return {text.substr(0, sign), text.substr(sign + 1)};
}

Result<void> report_diagnostics(const std::string& path, const Database& database, bool strict, cli::Report& report) {
  if (database.diagnostics.empty()) return {};
  const Diagnostic& first = database.diagnostics.front();
  if (strict) return fail(ErrorCode::kBadData, fmt::format("{}:{}: {}", path, first.line, first.what));
  for (std::size_t i = 0; i < std::min(database.diagnostics.size(), kMaxReported); ++i) {
    report.warn(fmt::format("{}:{}: {}", path, database.diagnostics[i].line, database.diagnostics[i].what));
  }
  if (database.diagnostic_count > kMaxReported) {
    report.warn(fmt::format("{}: {} further faults", path, database.diagnostic_count - kMaxReported));
  }
  return {};
}

Result<void> report_conflicts(const Databases& databases, std::size_t from, bool strict, cli::Report& report) {
  const auto conflicts = databases.conflicts().subspan(from);
  const auto text_of = [](const Databases::Conflict& conflict) {
    return fmt::format("identifier 0x{:X} is {} and {}; the first holds", conflict.kept->id, conflict.kept->name,
                       conflict.dropped->name);
  };
  if (conflicts.empty()) return {};
  if (strict) return fail(ErrorCode::kBadData, text_of(conflicts.front()));
  for (const auto& conflict : conflicts.first(std::min(conflicts.size(), kMaxReported))) report.warn(text_of(conflict));
  if (conflicts.size() > kMaxReported) {
    report.warn(fmt::format("{} further identifiers are defined twice", conflicts.size() - kMaxReported));
  }
  return {};
}

}  // namespace

void declare(cli::OptionTable& table, LineTimeRules& rules) {
  table.choice<RelativeTimes>("times", "KIND", rules.relative,
                              {{"delta", RelativeTimes::kDelta}, {"zero", RelativeTimes::kZero}},
                              "relative times count from the line before (candump -td) or the first line (-tz)");
  table.parsed(
      "time-base", "TIME",
      "time of day of the first line with relative times: now, seconds since 1970, or UTC as 2023-11-14T22:13:20Z",
      [&rules](std::string_view text) { return read_time_base(rules, text); });
}

Result<LineTimeRules> line_time_rules(LineTimeRules rules) {
  if ((rules.relative == RelativeTimes::kRefused) != !rules.base_ns) {
    return fail(ErrorCode::kUsage, "--times and --time-base go together");
  }
  rules.local_to_utc = local_to_utc;
  return rules;
}

void report_reader(const FrameReaderCounts& counts, cli::Report& report) {
  if (counts.dropped > 0)
    report.warn(fmt::format("candump reports {} lost before they reached it", frames(counts.dropped)));
  if (counts.early > 0)
    report.warn(fmt::format("{} stamped before 1991, by a clock that was not set", frames(counts.early)));
}

void declare(cli::OptionTable& table, DatabaseOptions& options) {
  table
      .list("dbc", "[BUS=]FILE", options.files,
            "database with the names of signals, for one interface or bus number or for all")
      .completes_files(".dbc");
  table.flag("strict-dbc", options.strict, "stop at the first fault in a database");
  table.flag("j1939", options.j1939, "match 29-bit identifiers by their parameter group number (J1939)");
}

Result<Databases> open_databases(const DatabaseOptions& options, cli::Report& report) {
  Databases databases(options.j1939);
  for (const std::string& text : options.files) {
    auto [bus, path] = split_bus(text);
    auto content = cli::read_file(path, kMaxDbcBytes, ErrorCode::kBadData);
    if (!content) return fail(std::move(content));
    auto database = parse_dbc(*std::move(content));
    if (!database) return tl::make_unexpected(std::move(database).error().in(path));
    if (auto told = report_diagnostics(path, *database, options.strict, report); !told) return fail(std::move(told));
    const std::size_t known = databases.conflicts().size();
    databases.add(std::move(bus), *std::move(database));
    if (auto told = report_conflicts(databases, known, options.strict, report); !told) {
      return tl::make_unexpected(std::move(told).error().in(path));
    }
  }
  return databases;
}

void declare(cli::OptionTable& table, FrameWriterOptions& options) {
  table.list("only", "MESSAGE[.SIGNAL]", options.only, "print this message or signal only");
  table.flag("choices", options.choices, "also give the texts of values, beside the numbers");
  table.flag("units", options.units, "also give the units of signals");
  table.flag("flat", options.flat, "print a line for each signal");
  table.flag("unknown", options.unknown, "print frames that no database knows as they are");
  table.section("Output");
  table.choice<FrameFormat>("to", "FORMAT", options.format,
                            {{"ndjson", FrameFormat::kNdjson},
                             {"candump", FrameFormat::kCandump},
                             {"csv", FrameFormat::kCsv},
                             {"influx", FrameFormat::kInflux}},
                            "form of the output");
}

void report_writer(const FrameWriter& writer, cli::Report& report) {
  if (const auto n = writer.unknown_frames(); n > 0) {
    report.warn(fmt::format("{} not printed, which no database knows; --unknown prints them", frames(n)));
  }
  if (const auto n = writer.partial_frames(); n > 0)
    report.warn(fmt::format("{} gave only a part of their signals", frames(n)));
}

void declare(cli::OptionTable& table, SelectionOptions& options) {
  table.list("select", "ID|NAME[:RATE]|@FILE", options.select,
             "keep these frames only, RATE samples a second of frame time; more than once, or a file with one a line");
  table
      .text("sample-rate", "RATE", options.sample_rate,
            "samples a second of each identifier that has no rate of its own")
      .default_text("all frames");
}

Result<Sampler> open_sampler(const SelectionOptions& options, const Databases& databases) {
  Sampler sampler;
  if (!options.sample_rate.empty()) {
    auto rate = Rate::parse(options.sample_rate);
    if (!rate) return tl::make_unexpected(std::move(rate).error().in("--sample-rate"));
    sampler.limit(*rate);
  }
  const auto all = databases.all();
  for (const std::string& text : options.select) {
    std::vector<SelectRule> rules;
    if (text.starts_with('@')) {
      auto content = cli::read_file(text.substr(1), kMaxSelectionBytes, ErrorCode::kBadData);
      if (!content) return fail(std::move(content));
      auto list = parse_select_list(*content);
      if (!list) return tl::make_unexpected(std::move(list).error().in(text.substr(1)));
      rules = *std::move(list);
    } else {
      auto rule = parse_select(text);
      if (!rule) return tl::make_unexpected(std::move(rule).error().in("--select"));
      rules.push_back(*std::move(rule));
    }
    for (const SelectRule& rule : rules) {
      if (auto added = sampler.add(rule, all); !added)
        return tl::make_unexpected(std::move(added).error().in("--select"));
    }
  }
  return sampler;
}

}  // namespace fieldpipe::can
