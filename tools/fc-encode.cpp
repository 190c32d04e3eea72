// SPDX-License-Identifier: MIT
// fc-encode: CAN frames and points to FlexConnect messages.
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "can/options.h"
#include "cli/run.h"
#include "cli/secret.h"
#include "flexconnect/options.h"
#include "flexconnect/packer.h"
#include "flexconnect/text_encoder.h"
#include "io/filter.h"
#include "io/options.h"
#include "record/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{.name = "fc-encode",
                          .summary = "turn CAN frames or points into FlexConnect messages",
                          .operands = "[FILE]...",
                          .example = "candump -L can0 | fc-encode | mqtt-pub -t flexconnect/bin"};

struct Options {
  flexconnect::TextEncoderOptions encoder;
  flexconnect::MessageOptions messages;
  can::DatabaseOptions databases;
  can::SelectionOptions selection;
  record::RecordOptions record;
  io::OutputOptions output;
  io::StopOptions stop;
  std::vector<std::string> files;
};

void declare(cli::OptionTable& table, Options& options) {
  using flexconnect::TextSource;
  table.section("Input");
  table.choice<TextSource>(
      "from", "FORMAT", options.encoder.source,
      {{"auto", TextSource::kAuto}, {"candump", TextSource::kFrames}, {"points", TextSource::kPoints}},
      "what the input is; candump stands for ASC logs too");
  flexconnect::declare(table, options.encoder.buses);
  can::declare(table, options.encoder.frames.times);
  table.flag("strict", options.encoder.frames.strict, "stop at the first line or frame that cannot be kept");
  record::declare(table, options.record);
  table.section("Frames");
  can::declare(table, options.selection);
  can::declare(table, options.databases);
  table.section("Messages");
  flexconnect::declare(table, options.encoder, options.messages);
  table.section("Output");
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table.operands("FILE", options.files, "CAN logs or points, - for stdin").completes(cli::Completes::kFiles);
}

// One input from its start to its end, or to a signal.
Result<io::Arrival> encode(io::Input& in, io::Output& out, io::Loop& loop, flexconnect::TextEncoder& encoder,
                           flexconnect::Packer& packer, std::chrono::nanoseconds interval) {
  encoder.begin_input();
  for (;;) {
    auto taken = encoder.feed(as_text(in.window()), in.at_end(), wall_now().time_since_epoch().count());
    if (!taken) return tl::make_unexpected(std::move(taken).error().in(in.name()));
    in.consume(*taken);
    if (in.at_end()) return io::Arrival::kEnd;
    if (out.full()) {
      if (auto flushed = out.flush(loop); !flushed) return fail(std::move(flushed));
    }
    std::optional<MonotonicTime> deadline;
    if (encoder.has_open_message()) deadline = monotonic_now() + interval;
    auto arrival = io::await_input(loop, in, out, deadline, [&] { return packer.drain(out.buffer()); });
    if (!arrival || *arrival == io::Arrival::kStop) return arrival;
    if (*arrival == io::Arrival::kDeadline) {
      if (auto paused = encoder.pause(wall_now().time_since_epoch().count()); !paused) return fail(std::move(paused));
    }
  }
}

// What did not become part of a message, once, at the end.
void report_counts(const flexconnect::TextEncoder& encoder, cli::Report& report) {
  const auto& counts = encoder.counts();
  const auto frames = [](std::uint64_t n) { return fmt::format("{} {}", n, n == 1 ? "frame" : "frames"); };
  if (encoder.faults().count() > 0) report.partial(encoder.faults().summary(encoder.lines()));
  for (const auto& [name, count] : counts.unmapped) {
    report.partial(fmt::format("{} of {} left out: no bus number; --bus {}=N gives one", frames(count),
                               name.empty() ? "further interfaces" : printable(name),
                               name.empty() ? "NAME" : printable(name)));
  }
  if (const auto left_out = counts.remote + counts.error + counts.xl; left_out > 0) {
    report.warn(fmt::format("{} left out, for which the format has no place: {} remote, {} error, {} CAN XL",
                            frames(left_out), counts.remote, counts.error, counts.xl));
  }
  if (!counts.shared_bus.empty()) report.warn(fmt::format("{}; --bus NAME=N keeps them apart", counts.shared_bus));
  if (counts.unknown > 0) report.warn(fmt::format("{} left out, which no database knows", frames(counts.unknown)));
  if (counts.partial > 0) report.warn(fmt::format("{} gave only a part of their signals", frames(counts.partial)));
  can::report_reader(encoder.reader_counts(), report);
  report.say(
      fmt::format("{} lines, {} frames or points in {} messages", encoder.lines(), counts.records, counts.messages));
}

void run(const Options& options, cli::Report& report) {
  flexconnect::TextEncoderOptions settings = options.encoder;
  auto times = can::line_time_rules(settings.frames.times);
  if (!times) return report.fail(times.error());
  settings.frames.times = *std::move(times);
  settings.form = options.messages.form.form;
  settings.max_line_bytes = options.record.max_record_bytes;
  auto databases = can::open_databases(options.databases, report);
  if (!databases) return report.fail(databases.error());
  auto sampler = can::open_sampler(options.selection, *databases);
  if (!sampler) return report.fail(sampler.error());
  auto token = cli::read_secret({"--token-file", options.messages.token_file, "FC_TOKEN", "fc-encode.token"});
  if (!token) return report.fail(token.error());
  if (!*token) report.warn("no token: messages will have an empty one; --token-file or FC_TOKEN gives one");
  settings.defaults.token = token->value_or("");

  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  const record::Framing framing = options.messages.form.binary;
  auto out = io::Output::open(options.output.path,
                              settings.form != flexconnect::Form::kJson && framing == record::Framing::kFrames);
  if (!out) return report.fail(out.error());
  flexconnect::Packer packer(options.messages.level, std::thread::hardware_concurrency(), framing);
  flexconnect::TextEncoder encoder(
      std::move(settings), *databases, *std::move(sampler),
      [&](flexconnect::Form form, Bytes message) { return packer.add(form, message, out->buffer()); });

  for (const std::string& file : options.files.empty() ? std::vector<std::string>{"-"} : options.files) {
    auto in = io::Input::open(file);
    if (!in) {
      report.fail(in.error());
      continue;
    }
    auto ended = encode(*in, *out, *loop, encoder, packer, options.encoder.limits.interval);
    if (!ended) report.fail(ended.error());
    if (!ended || *ended == io::Arrival::kStop) break;
  }
  // Whatever ended the input, what was good of it goes out.
  auto finished = encoder.finish();
  if (finished) finished = packer.drain(out->buffer());
  if (finished) finished = out->finish(*loop);
  report_counts(encoder, report);
  if (!finished) report.fail(finished.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::run, argc, argv);
}
