// SPDX-License-Identifier: MIT
// mflt-decode: chunks of Memfault devices to the messages in them.
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cli/run.h"
#include "io/file.h"
#include "io/filter.h"
#include "io/options.h"
#include "memfault/decoder.h"
#include "memfault/options.h"
#include "record/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{.name = "mflt-decode",
                          .summary = "show what is in the chunks of Memfault devices",
                          .operands = "[FILE]...",
                          .example = "mflt-decode < console.log | jq ."};

struct Options {
  memfault::DecoderOptions decoder;
  record::RecordOptions record;
  bool report = false;
  std::string raw;
  io::OutputOptions output;
  io::StopOptions stop;
  std::vector<std::string> files;
};

void declare(cli::OptionTable& table, Options& options) {
  using Framing = std::optional<record::Framing>;
  table.section("Input");
  memfault::declare(table, options.decoder.input);
  memfault::declare_device(table, options.decoder.device);
  record::declare(table, options.record);
  table.size("max-message", options.decoder.max_message_bytes, 1, std::size_t{1} << 30U,
             "give up a larger message, and what is held for all devices beyond it");
  table.section("Output");
  table.choice<Framing>("to", "FORMAT", options.decoder.to,
                        {{"ndjson", std::nullopt},
                         {"frames", record::Framing::kFrames},
                         {"hex", record::Framing::kHex},
                         {"base64", record::Framing::kBase64}},
                        "the messages as NDJSON, or the chunks as they are");
  table.flag("report", options.report, "add a line for each device with what became of its chunks");
  table.text("raw", "DIRECTORY", options.raw, "also write each message and coredump to a file in this directory")
      .completes(cli::Completes::kDirectories);
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table.operands("FILE", options.files, "files with chunks, - for stdin").completes(cli::Completes::kFiles);
}

void tell(memfault::Decoder& decoder, const std::string& input, cli::Report& report) {
  for (const memfault::Remark& remark : decoder.take_remarks()) {
    const std::string text = remark.of_input ? fmt::format("{}: {}", input, remark.text) : remark.text;
    switch (remark.weight) {
      case memfault::Remark::Weight::kDetail: report.say(text); break;
      case memfault::Remark::Weight::kNotice: report.warn(text); break;
      case memfault::Remark::Weight::kFault: report.partial(text); break;
    }
  }
}

// The message that was written last, and the coredump in it.
Result<void> write_raw(const std::string& directory, const memfault::Decoder& decoder, Bytes message) {
  constexpr mode_t kMode = 0666;
  const std::string path = fmt::format("{}/{:06}", directory, decoder.messages());
  auto written = io::replace_file(path + ".message", as_text(message), kMode, io::Durable::kNo);
  if (!written || decoder.last().type() != memfault::MessageType::kCoredump) return written;
  return io::replace_file(path + ".coredump", as_text(decoder.last().payload()), kMode, io::Durable::kNo);
}

// One input from its start to its end, or to a signal.
Result<io::Arrival> decode(io::Input& in, io::Output& out, io::Loop& loop, memfault::Decoder& decoder,
                           const std::string& raw, cli::Report& report) {
  decoder.begin_input();
  for (;;) {
    auto step = decoder.feed(in.window(), in.at_end(), out.buffer());
    tell(decoder, in.name(), report);
    if (!step) return tl::make_unexpected(std::move(step).error().in(in.name()));
    if (step->message && !raw.empty()) {
      if (auto written = write_raw(raw, decoder, step->message->bytes); !written) return fail(std::move(written));
    }
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

Result<void> check(const Options& options) {
  if (!options.decoder.to || (!options.report && options.raw.empty())) return {};
  return fail(ErrorCode::kUsage,
              fmt::format("--{} needs messages, and --to passes chunks on", options.report ? "report" : "raw"),
              "--to ndjson");
}

void run(const Options& options, cli::Report& report) {
  if (auto checked = check(options); !checked) return report.fail(checked.error());
  if (std::error_code error; !options.raw.empty() && !std::filesystem::create_directory(options.raw, error) && error)
    return report.fail({ErrorCode::kIo, fmt::format("{}: {}", options.raw, error.message()), {}, std::nullopt});
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  auto out = io::Output::open(options.output.path, options.decoder.to == record::Framing::kFrames);
  if (!out) return report.fail(out.error());
  memfault::DecoderOptions settings = options.decoder;
  settings.input.max_record_bytes = options.record.max_record_bytes;
  memfault::Decoder decoder(std::move(settings));
  const std::vector<std::string> files = options.files.empty() ? std::vector<std::string>{"-"} : options.files;
  for (const std::string& file : files) {
    auto in = io::Input::open(file);
    if (!in) {
      report.fail(in.error());
      continue;
    }
    const std::uint64_t before = decoder.reader().count();
    auto ended = decode(*in, *out, *loop, decoder, options.raw, report);
    if (!ended) report.fail(ended.error());
    if (ended ? *ended == io::Arrival::kStop : ended.error().code != ErrorCode::kBadData) break;
    if (decoder.reader().form() == memfault::ChunkForm::kConsole && decoder.reader().count() == before)
      report.warn(fmt::format("{}: text without an MC: record", in->name()));
  }
  decoder.finish();
  tell(decoder, {}, report);
  if (decoder.untold() > 0) report.partial(fmt::format("{} further faults", decoder.untold()));
  if (const std::uint64_t lost = decoder.lost(); lost > 0) report.partial(fmt::format("messages lost: {}", lost));
  if (decoder.saw_several_devices())
    report.warn("the chunks are of several devices, and what goes out does not say which");
  if (options.report) decoder.append_report(out->buffer());
  if (auto finished = out->finish(*loop); !finished) report.fail(finished.error());
  report.say(fmt::format("{} records, {} messages", decoder.reader().count(), decoder.messages()));
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::run, argc, argv);
}
