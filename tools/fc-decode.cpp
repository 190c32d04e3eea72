// SPDX-License-Identifier: MIT
// fc-decode: FlexConnect messages to frames and points.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "cli/run.h"
#include "flexconnect/options.h"
#include "flexconnect/text_decoder.h"
#include "io/filter.h"
#include "io/options.h"
#include "record/envelope.h"
#include "record/framing.h"
#include "record/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{.name = "fc-decode",
                          .summary = "turn FlexConnect messages into CAN frames or points",
                          .operands = "[FILE]...",
                          .example = "mqtt-sub -t 'flexconnect/#' --to frames | fc-decode --to candump"};

enum class From { kAuto, kFrames, kLines, kWhole, kNul, kHex, kBase64, kEnvelope };

// Nothing: to be told by the first bytes.
std::optional<record::Framing> framing_of(From from) {
  switch (from) {
    case From::kAuto: break;
    case From::kFrames: return record::Framing::kFrames;
    case From::kWhole: return record::Framing::kWhole;
    case From::kNul: return record::Framing::kNul;
    case From::kHex: return record::Framing::kHex;
    case From::kBase64: return record::Framing::kBase64;
    case From::kLines:
    case From::kEnvelope: return record::Framing::kLines;
  }
  return std::nullopt;
}

struct Options {
  From from = From::kAuto;
  record::RecordOptions record;
  flexconnect::TextDecoderOptions decoder;
  io::OutputOptions output;
  io::StopOptions stop;
  std::vector<std::string> files;
};

void declare(cli::OptionTable& table, Options& options) {
  table.section("Input");
  table.choice<From>("from", "FORMAT", options.from,
                     {{"auto", From::kAuto},
                      {"frames", From::kFrames},
                      {"lines", From::kLines},
                      {"whole", From::kWhole},
                      {"nul", From::kNul},
                      {"hex", From::kHex},
                      {"base64", From::kBase64},
                      {"envelope", From::kEnvelope}},
                     "how messages come in");
  record::declare(table, options.record);
  table.size("max-inflated", options.decoder.max_inflated_bytes, 1, std::size_t{1} << 30U,
             "refuse a message that is larger after decompression");
  table.section("Output");
  table.choice<flexconnect::TextFormat>("to", "FORMAT", options.decoder.format,
                                        {{"ndjson", flexconnect::TextFormat::kNdjson},
                                         {"candump", flexconnect::TextFormat::kCandump},
                                         {"csv", flexconnect::TextFormat::kCsv}},
                                        "form of the output");
  flexconnect::declare(table, options.decoder.buses);
  table.flag("show-token", options.decoder.show_token, "put the token of each message into NDJSON lines");
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table.operands("FILE", options.files, "files of messages, - for stdin");
}

// Broken messages that get a line each: whoever publishes them must not fill a log.
constexpr std::uint64_t kMaxReported = 10;

// What one run needs for each message.
struct Work {
  flexconnect::TextDecoder decoder;
  json::Reader reader;
  io::Loop& loop;
  io::Output& out;
  cli::Report& report;
  std::uint64_t broken = 0;
};

// Fails only with what makes going on pointless.
Result<void> decode_message(Work& work, Bytes message, const io::Input& in, std::uint64_t number) {
  auto begun = work.decoder.begin(message);
  Result<bool> more = begun ? Result<bool>(true) : Result<bool>(fail(std::move(begun)));
  while (more && *more) {
    more = work.decoder.more(work.out.buffer(), io::Output::kBlockBytes);
    if (work.out.full()) {
      if (auto flushed = work.out.flush(work.loop); !flushed) return flushed;
    }
  }
  if (!more && work.broken++ < kMaxReported) {
    work.report.fail(std::move(more).error().in(fmt::format("{}: message {}", in.name(), number)));
  }
  return {};
}

Result<void> decode_record(Work& work, From from, Bytes record, const io::Input& in, std::uint64_t number) {
  if (from != From::kEnvelope) return decode_message(work, record, in, number);
  auto envelope = record::parse_envelope(work.reader, as_text(record));
  if (envelope) return decode_message(work, as_bytes(envelope->payload), in, number);
  if (work.broken++ < kMaxReported) {
    work.report.fail(std::move(envelope).error().in(fmt::format("{}: record {}", in.name(), number)));
  }
  return {};
}

// All messages of one input, to its end or to a signal.
Result<io::Arrival> decode_input(Work& work, const Options& options, io::Input& in) {
  std::optional<record::Framing> framing = framing_of(options.from);
  while (!framing && !(framing = flexconnect::detect_framing(in.window(), in.at_end()))) {
    auto arrival = io::await_input(work.loop, in, work.out);
    if (!arrival || *arrival == io::Arrival::kStop) return arrival;
  }
  record::Splitter splitter(*framing, options.record.max_record_bytes);
  for (;;) {
    auto step = splitter.next(in.window(), in.at_end());
    if (!step) return tl::make_unexpected(std::move(step).error().in(in.name()));
    if (step->record) {
      // A blank line between messages, or an empty file, is no message; an empty frame is a broken one.
      if (framing == record::Framing::kFrames || !trimmed(as_text(*step->record)).empty()) {
        if (auto done = decode_record(work, options.from, *step->record, in, splitter.count()); !done)
          return fail(std::move(done));
      }
      in.consume(step->used_bytes);
      continue;
    }
    if (in.at_end()) return io::Arrival::kEnd;
    auto arrival = io::await_input(work.loop, in, work.out);
    if (!arrival || *arrival == io::Arrival::kStop) return arrival;
  }
}

void run(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  auto out = io::Output::open(options.output.path, false);
  if (!out) return report.fail(out.error());
  Work work{flexconnect::TextDecoder(options.decoder), {}, *loop, *out, report};
  if (options.decoder.format == flexconnect::TextFormat::kCsv) out->buffer() += flexconnect::kCsvHeader;

  for (const std::string& file : options.files.empty() ? std::vector<std::string>{"-"} : options.files) {
    auto in = io::Input::open(file);
    if (!in) {
      report.fail(in.error());
      continue;
    }
    auto ended = decode_input(work, options, *in);
    if (!ended) {
      const bool go_on = ended.error().code == ErrorCode::kBadData;
      report.fail(ended.error());
      if (!go_on) break;
    } else if (*ended == io::Arrival::kStop) {
      break;
    }
  }
  if (auto finished = out->finish(*loop); !finished) report.fail(finished.error());
  if (work.broken > kMaxReported)
    report.partial(fmt::format("{} further messages are broken", work.broken - kMaxReported));
  if (work.decoder.saw_byte_counts()) report.warn("a writer puts byte counts where length codes belong; read as such");
  report.say(fmt::format("{} messages, {} frames", work.decoder.messages(), work.decoder.frames()));
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::run, argc, argv);
}
