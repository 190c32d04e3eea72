// SPDX-License-Identifier: MIT
// fc-decode: FlexConnect messages and CAN logs to frames, signals and points.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "can/database_text.h"
#include "can/frame_text.h"
#include "can/options.h"
#include "cli/run.h"
#include "flexconnect/options.h"
#include "flexconnect/stream_decoder.h"
#include "io/filter.h"
#include "io/options.h"
#include "record/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{.name = "fc-decode",
                          .summary = "turn FlexConnect messages and CAN logs into frames, signals or points",
                          .operands = "[FILE]...",
                          .example = "candump can0 | fc-decode --dbc car.dbc"};

struct Options {
  flexconnect::StreamDecoderOptions decoder;
  record::RecordOptions record;
  can::DatabaseOptions databases;
  bool list = false;
  can::FrameWriterOptions writer;
  io::OutputOptions output;
  io::StopOptions stop;
  std::vector<std::string> files;
};

void declare(cli::OptionTable& table, Options& options) {
  using flexconnect::StreamSource;
  table.section("Input");
  table.choice<StreamSource>("from", "FORMAT", options.decoder.source,
                             {{"auto", StreamSource::kAuto},
                              {"candump", StreamSource::kLog},
                              {"frames", StreamSource::kFrames},
                              {"lines", StreamSource::kLines},
                              {"whole", StreamSource::kWhole},
                              {"nul", StreamSource::kNul},
                              {"hex", StreamSource::kHex},
                              {"base64", StreamSource::kBase64},
                              {"envelope", StreamSource::kEnvelope}},
                             "what the input is: a log (candump or ASC), or how messages come in");
  record::declare(table, options.record);
  table.size("max-inflated", options.decoder.messages.max_inflated_bytes, 1, std::size_t{1} << 30U,
             "refuse a message that is larger after decompression");
  can::declare(table, options.decoder.frames.times);
  table.flag("strict", options.decoder.frames.strict, "stop at the first line of a log that is no frame");
  table.section("Signals");
  can::declare(table, options.databases);
  table.flag("list", options.list, "print the messages of the databases, and read no input");
  can::declare(table, options.writer);
  flexconnect::declare(table, options.decoder.messages.buses);
  table.flag("show-token", options.decoder.messages.show_token, "put the token of each message into NDJSON lines");
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table.operands("FILE", options.files, "files of messages or CAN logs, - for stdin").completes(cli::Completes::kFiles);
}

// One input from its start to its end, or to a signal.
Result<io::Arrival> decode(io::Input& in, io::Output& out, io::Loop& loop, flexconnect::StreamDecoder& decoder,
                           cli::Report& report) {
  decoder.begin_input();
  for (;;) {
    auto step = decoder.feed(in.window(), in.at_end(), wall_now().time_since_epoch().count(), out.buffer());
    for (Error& fault : decoder.take_faults()) report.fail(std::move(fault).in(in.name()));
    if (!step) return tl::make_unexpected(std::move(step).error().in(in.name()));
    in.consume(step->used_bytes);
    if (out.full()) {
      if (auto flushed = out.flush(loop); !flushed) return fail(std::move(flushed));
    }
    if (!step->needs_input) continue;
    if (in.at_end()) return io::Arrival::kEnd;
    auto arrival = io::await_input(loop, in, out);
    if (!arrival || *arrival == io::Arrival::kStop) return arrival;
  }
}

void report_counts(const flexconnect::StreamDecoder& decoder, const can::FrameWriter& writer, cli::Report& report) {
  if (decoder.untold() > 0) report.partial(fmt::format("{} further messages are broken", decoder.untold()));
  if (decoder.log().faults().count() > 0) report.partial(decoder.log().faults().summary(decoder.log_lines()));
  can::report_reader(decoder.log().counts(), report);
  if (decoder.messages().saw_byte_counts())
    report.warn("a writer puts byte counts where length codes belong; read as such");
  can::report_writer(writer, report);
  report.say(fmt::format("{} messages, {} frames in them, {} lines of logs", decoder.messages().messages(),
                         decoder.messages().frames(), decoder.log_lines()));
}

void run(const Options& options, cli::Report& report) {
  flexconnect::StreamDecoderOptions settings = options.decoder;
  auto times = can::line_time_rules(settings.frames.times);
  if (!times) return report.fail(times.error());
  settings.frames.times = *std::move(times);
  settings.max_record_bytes = options.record.max_record_bytes;
  auto databases = can::open_databases(options.databases, report);
  if (!databases) return report.fail(databases.error());
  can::FrameWriterOptions form = options.writer;
  form.source_address = options.databases.j1939;
  auto writer = can::FrameWriter::create(std::move(form), *databases);
  if (!writer) return report.fail(writer.error());
  if (options.list && databases->empty())
    return report.fail({ErrorCode::kUsage, "--list needs a database", "--dbc FILE", std::nullopt});

  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  auto out = io::Output::open(options.output.path, false);
  if (!out) return report.fail(out.error());
  flexconnect::StreamDecoder decoder(std::move(settings), *writer);
  std::vector<std::string> files = options.files.empty() ? std::vector<std::string>{"-"} : options.files;
  if (options.list) {
    for (const can::Database* database : databases->all()) {
      for (const can::Message& message : database->messages) can::append_message(out->buffer(), message);
    }
    files.clear();
  } else {
    out->buffer() += writer->header();
  }
  for (const std::string& file : files) {
    auto in = io::Input::open(file);
    if (!in) {
      report.fail(in.error());
      continue;
    }
    auto ended = decode(*in, *out, *loop, decoder, report);
    if (!ended) report.fail(ended.error());
    if (ended ? *ended == io::Arrival::kStop : ended.error().code != ErrorCode::kBadData) break;
  }
  if (auto finished = out->finish(*loop); !finished) report.fail(finished.error());
  report_counts(decoder, *writer, report);
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::run, argc, argv);
}
