// SPDX-License-Identifier: MIT
// uplink-serve: the application interface of Bytebeam's uplink, over outages and power cuts.
#include "cli/run.h"
#include "io/options.h"
#include "io/output.h"
#include "uplink_service/options.h"
#include "uplink_service/service.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "uplink-serve",
    .summary = "take points from local applications to a broker, and actions back",
    .operands = "",
    .example = "uplink-serve --config uplink.toml --auth device.json",
    .own_config = true,
};

struct Options {
  uplink_service::Options service;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  uplink_service::declare(table, options.service);
  io::declare(table, options.stop);
}

Result<void> show(const uplink_service::Settings& settings, io::Loop& loop) {
  auto output = io::Output::standard(false);
  if (!output) return fail(std::move(output));
  output->buffer() = uplink_service::print_settings(settings);
  return output->finish(loop);
}

Result<void> serve(const uplink_service::Options& options, cli::Report& report, io::Loop& loop) {
  uplink_service::KeyFiles keys;
  const auto settings = uplink_service::settings(options, keys, report);
  if (!settings) return tl::make_unexpected(settings.error());
  if (options.check_config) return show(*settings, loop);
  auto spools = uplink_service::open_spools(options, *settings, report);
  if (!spools) return fail(std::move(spools));
  std::vector<uplink_service::Port> ports;
  for (const uplink::App& app : settings->configuration.apps) {
    auto port = uplink_service::Port::open(app, settings->configuration.bind);
    if (!port) return fail(std::move(port));
    report.say(fmt::format("app {} listens on {}", app.name, port->endpoints()));
    ports.push_back(*std::move(port));
  }
  return uplink_service::Service(*settings, spools->data, spools->statuses, std::move(ports), report).run(loop);
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout, true);
  if (!loop) return report.fail(loop.error());
  if (auto served = serve(options.service, report, *loop); !served) report.fail(served.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
