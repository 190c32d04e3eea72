// SPDX-License-Identifier: MIT
// mqtt-pub: records from a pipe, or one message, to an MQTT broker.
#include <utility>

#include "cli/run.h"
#include "io/options.h"
#include "mqtt/options.h"
#include "publisher/backlog.h"
#include "publisher/options.h"
#include "publisher/publisher.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "mqtt-pub",
    .summary = "publish records from a pipe to an MQTT broker",
    .operands = "",
    .example = "candump -L can0 | fc-encode | mqtt-pub -L mqtts://broker/flexconnect/bin",
    .networked = true,
};

struct Options {
  publisher::Options publisher;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  publisher::declare(table, options.publisher);
  io::declare(table, options.stop);
  mqtt::declare(table, options.publisher.connection, mqtt::Letters::kMosquitto);
}

// What a message says is decided when it is accepted, so that other options of the next run do not change it.
Result<void> publish_spooled(const publisher::Options& options, publisher::Settings settings,
                             mqtt::Connection connection, publisher::Source& source, cli::Report& report,
                             io::Loop& loop) {
  spool::Options spool_options = options.spool;
  spool_options.max_record_bytes = options.records.max_record_bytes + publisher::kMostOverheadBytes;
  auto spool = spool::open(std::move(spool_options), kTool.name, report);
  if (!spool) return fail(std::move(spool));
  connection.patient = true;
  auto client = mqtt::Client::create(std::move(connection), options.connection.debug);
  if (!client) return fail(std::move(client));
  publisher::Backlog backlog(
      source, *spool, options.spool.on_full == spool::OnFull::kDropNewest,
      {std::exchange(settings.topic, {}), settings.qos, settings.retain, std::exchange(settings.properties, {})},
      report);
  auto published = publisher::Publisher(*client, std::move(settings), report).run(loop, backlog);
  auto closed = backlog.close();
  if (!published && !closed) report.fail(closed.error());
  return published ? closed : published;
}

Result<void> publish(const publisher::Options& options, cli::Report& report, io::Loop& loop) {
  auto settings = publisher::settings(options);
  if (!settings) return fail(std::move(settings));
  auto connection = mqtt::connection(options.connection);
  if (!connection) return fail(std::move(connection));
  connection->send_maximum = options.inflight;
  auto source = publisher::source(options, loop);
  if (!source) return fail(std::move(source));
  if (!*source) return {};
  if (!options.spool.directory.empty()) return publish_spooled(options, *settings, *connection, **source, report, loop);
  auto client = mqtt::Client::create(*std::move(connection), options.connection.debug);
  if (!client) return fail(std::move(client));
  return publisher::Publisher(*client, *std::move(settings), report).run(loop, **source);
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto published = publish(options.publisher, report, *loop); !published) report.fail(published.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
