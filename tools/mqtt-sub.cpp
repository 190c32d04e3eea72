// SPDX-License-Identifier: MIT
// mqtt-sub: messages from an MQTT broker as records on stdout.
#include <algorithm>

#include "cli/run.h"
#include "io/options.h"
#include "io/output.h"
#include "mqtt/options.h"
#include "subscriber/options.h"
#include "subscriber/subscriber.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "mqtt-sub",
    .summary = "print messages from an MQTT broker as records",
    .operands = "",
    .example = "mqtt-sub -L 'mqtts://broker/flexconnect/#' --to frames | fc-decode",
    .networked = true,
};

struct Options {
  subscriber::Options subscriber;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  subscriber::declare(table, options.subscriber);
  io::declare(table, options.stop);
  mqtt::declare(table, options.subscriber.connection, mqtt::Letters::kMosquitto);
}

Result<void> subscribe(const subscriber::Options& options, cli::Report& report, io::Loop& loop) {
  auto settings = subscriber::settings(options);
  if (!settings) return fail(std::move(settings));
  auto connection = mqtt::connection(options.connection);
  if (!connection) return fail(std::move(connection));
  if (settings->count) {
    connection->receive_maximum =
        static_cast<std::uint16_t>(std::min<std::uint64_t>(connection->receive_maximum, *settings->count));
  }
  const bool binary =
      !settings->format && (settings->to == record::Framing::kFrames || settings->to == record::Framing::kNul);
  auto out = io::Output::standard(binary);
  if (!out) return fail(std::move(out));
  auto client = mqtt::Client::create(*std::move(connection), options.connection.debug);
  if (!client) return fail(std::move(client));
  return subscriber::Subscriber(*client, *std::move(settings), report).run(loop, *out);
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto done = subscribe(options.subscriber, report, *loop); !done) report.fail(done.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
