// SPDX-License-Identifier: MIT
// uplink-send: data from a pipe to uplink's application port, and actions from there.
#include <unistd.h>

#include "cli/run.h"
#include "io/options.h"
#include "uplink_client/client.h"
#include "uplink_client/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "uplink-send",
    .summary = "send data to uplink's application port and handle actions from it",
    .operands = "[ID STATE [PROGRESS] [ERROR]...]",
    .example = "sensor | uplink-send --connect :5050 --stream temperature",
    .networked = true,
};

struct Options {
  uplink_client::Options client;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  uplink_client::declare(table, options.client);
  io::declare(table, options.stop);
}

// Nothing where there is nothing to read: who only wants actions may have a terminal.
Result<std::optional<io::Input>> input(const uplink_client::Options& options, bool has_actions) {
  if (options.status || (has_actions && ::isatty(STDIN_FILENO) != 0)) return std::optional<io::Input>();
  auto standard = io::Input::standard(options.lines.form != uplink::Form::kAuto);
  if (!standard) return fail(std::move(standard));
  return std::optional(*std::move(standard));
}

Result<void> send(const uplink_client::Options& options, cli::Report& report, io::Loop& loop) {
  auto settings = uplink_client::settings(options);
  if (!settings) return fail(std::move(settings));
  auto status = uplink_client::status_line(options);
  if (!status) return fail(std::move(status));
  std::optional<io::Output> out;
  if (options.prints_actions) {
    auto standard = io::Output::standard(false);
    if (!standard) return fail(std::move(standard));
    out = *std::move(standard);
  }
  auto actions = uplink_client::actions(options, report);
  if (!actions) return fail(std::move(actions));
  auto data = input(options, out || *actions);
  if (!data) return fail(std::move(data));
  uplink_client::Client client(*std::move(settings), *std::move(actions), std::move(out), report);
  if (*status) client.send_line(**status);
  return client.run(loop, *std::move(data));
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto sent = send(options.client, report, *loop); !sent) report.fail(sent.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
