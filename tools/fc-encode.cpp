// SPDX-License-Identifier: MIT
// fc-encode: CAN frames and points to FlexConnect messages.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

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
  record::RecordOptions record;
  io::OutputOptions output;
  io::StopOptions stop;
  std::vector<std::string> files;
};

void declare(cli::OptionTable& table, Options& options) {
  table.section("Input");
  flexconnect::declare_input(table, options.encoder);
  record::declare(table, options.record);
  table.section("Messages");
  flexconnect::declare_messages(table, options.encoder, options.messages);
  table.section("Output");
  io::declare(table, options.output);
  io::declare(table, options.stop);
  table.operands("FILE", options.files, "candump logs or points, - for stdin");
}

// Calendar times of candump -tA are in the reader's zone.
std::int64_t local_to_utc(std::int64_t second) {
  const std::time_t as_if_utc = second;
  std::tm calendar{};
  ::gmtime_r(&as_if_utc, &calendar);
  calendar.tm_isdst = -1;
  return ::mktime(&calendar);
}

// One input from its start to its end, or to a signal.
Result<io::Arrival> encode(io::Input& in, io::Output& out, io::Loop& loop, flexconnect::TextEncoder& encoder,
                           flexconnect::Packer& packer, std::chrono::nanoseconds interval) {
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
      if (auto closed = encoder.close(); !closed) return fail(std::move(closed));
    }
  }
}

// What did not become part of a message, once, at the end.
void report_counts(const flexconnect::TextEncoderCounts& counts, cli::Report& report) {
  const auto frames = [](std::uint64_t n) { return fmt::format("{} {}", n, n == 1 ? "frame" : "frames"); };
  if (counts.bad > 0) {
    report.partial(fmt::format("{} of {} lines could not be read; {}{}", counts.bad, counts.lines,
                               counts.bad > 1 ? "the first, " : "", counts.first_bad));
  }
  for (const auto& [name, count] : counts.unmapped) {
    report.partial(fmt::format("{} of {} left out: no bus number; --bus {}=N gives one", frames(count),
                               name.empty() ? "further interfaces" : printable(name),
                               name.empty() ? "NAME" : printable(name)));
  }
  if (const auto left_out = counts.remote + counts.error + counts.xl; left_out > 0) {
    report.warn(fmt::format("{} left out, for which the format has no place: {} remote, {} error, {} CAN XL",
                            frames(left_out), counts.remote, counts.error, counts.xl));
  }
  if (counts.dropped > 0)
    report.warn(fmt::format("candump reports {} lost before they reached it", frames(counts.dropped)));
  if (counts.early > 0)
    report.warn(fmt::format("{} stamped before 1991, by a clock that was not set", frames(counts.early)));
  report.say(
      fmt::format("{} lines, {} frames or points in {} messages", counts.lines, counts.records, counts.messages));
}

void run(const Options& options, cli::Report& report) {
  flexconnect::TextEncoderOptions settings = options.encoder;
  if ((settings.times.relative == can::RelativeTimes::kRefused) != !settings.times.base_ns) {
    return report.fail({ErrorCode::kUsage, "--times and --time-base go together", {}, std::nullopt});
  }
  settings.form = options.messages.form.form;
  settings.max_line_bytes = options.record.max_record_bytes;
  settings.times.local_to_utc = local_to_utc;
  auto token = cli::read_secret({"token-file", options.messages.token_file, "FC_TOKEN", "fc-encode.token"});
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
  flexconnect::TextEncoder encoder(std::move(settings), [&](flexconnect::Form form, Bytes message) {
    return packer.add(form, message, out->buffer());
  });

  std::vector<std::string> files = options.files;
  if (files.empty()) files.emplace_back("-");
  for (const std::string& file : files) {
    auto in = io::Input::open(file);
    if (!in) {
      report.fail(in.error());
      continue;
    }
    auto ended = encode(*in, *out, *loop, encoder, packer, options.encoder.limits.interval);
    if (!ended) {
      report.fail(ended.error());
      break;
    }
    if (*ended == io::Arrival::kStop) break;
  }
  // Whatever ended the input, what was good of it goes out.
  auto finished = encoder.close();
  if (finished) finished = packer.drain(out->buffer());
  if (finished) finished = out->finish(*loop);
  report_counts(encoder.counts(), report);
  if (!finished) report.fail(finished.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::run, argc, argv);
}
