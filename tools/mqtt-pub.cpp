// SPDX-License-Identifier: MIT
// mqtt-pub: records from a pipe, or one message, to an MQTT broker.
#include <chrono>
#include <optional>
#include <string>

#include "cli/run.h"
#include "cli/secret.h"
#include "io/options.h"
#include "mqtt/options.h"
#include "publisher/publisher.h"
#include "record/options.h"

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
  std::string topic;
  std::string topic_file;
  std::optional<std::string> message;
  std::string file;
  bool lines = false;
  bool whole = false;
  bool nothing = false;
  std::optional<record::Framing> from = record::Framing::kAuto;  // nothing: envelopes
  std::optional<int> qos;
  bool retain = false;
  std::uint64_t repeat = 1;
  std::chrono::nanoseconds repeat_delay{0};
  double rate = 0;
  std::uint16_t inflight = 100;
  std::optional<std::chrono::nanoseconds> deadline;
  mqtt::ConnectionOptions connection;
  record::RecordOptions records;
  io::StopOptions stop;
};

void declare(cli::OptionTable& table, Options& options) {
  table.section("Messages");
  // Before --url: a topic heard after one in a URL comes from a weaker level, and the URL's holds.
  const auto unless_in_url = [&options](std::string& target) {
    return [&options, &target](std::string_view text) {
      if (options.connection.url_topic.empty()) target = text;
      return Result<void>();
    };
  };
  table.parsed("topic", "TOPIC", "publish under this topic", unless_in_url(options.topic))
      .letter('t')
      .part_of("topic", "topic");
  table
      .parsed("topic-file", "FILE", "publish under the topic in this file, for one that holds a key",
              unless_in_url(options.topic_file))
      .part_of("topic", "topic-file")
      .completes(cli::Completes::kFiles);
  table.text("message", "TEXT", options.message, "publish this one message").letter('m').part_of("source", "message");
  table.text("file", "FILE", options.file, "publish this file as one message")
      .letter('f')
      .part_of("source", "file")
      .completes(cli::Completes::kFiles);
  table.flag("stdin-file", options.whole, "publish all of stdin as one message")
      .letter('s')
      .part_of("source", "stdin-file");
  table.flag("stdin-line", options.lines, "publish each line of stdin as it is")
      .letter('l')
      .part_of("source", "stdin-line");
  table.flag("null-message", options.nothing, "publish one empty message")
      .letter('n')
      .part_of("source", "null-message");
  using record::Framing;
  table
      .choice("from", "FORMAT", options.from,
              {{"auto", Framing::kAuto},
               {"lines", Framing::kLines},
               {"frames", Framing::kFrames},
               {"whole", Framing::kWhole},
               {"nul", Framing::kNul},
               {"hex", Framing::kHex},
               {"base64", Framing::kBase64},
               {"envelope", std::nullopt}},
              "how stdin is cut into records, one message each")
      .part_of("source", "from");
  table.integer("qos", "QOS", options.qos, 0, 2, "quality of service")
      .letter('q')
      .default_text("1 for records of stdin, else 0");
  table.flag("retain", options.retain, "have the broker keep the message for later subscribers").letter('r');
  table.integer("repeat", "COUNT", options.repeat, std::uint64_t{1}, std::uint64_t{1} << 62U,
                "publish -m, -f, -s or -n this often");
  table.duration("repeat-delay", options.repeat_delay, "time between repeats", "s");
  declare(table, options.records);

  table.section("Flow");
  table
      .integer("inflight", "COUNT", options.inflight, std::uint16_t{1}, std::uint16_t{10000},
               "unacknowledged messages at a time")
      .letter('M');
  table
      .parsed("rate", "NUMBER", "messages a second, at most",
              [&options](std::string_view text) -> Result<void> {
                const auto value = parse_integer<std::uint32_t>(text);
                if (!value || *value == 0)
                  return fail(ErrorCode::kUsage, fmt::format("'{}' is not a whole number above 0", printable(text)));
                options.rate = *value;
                return {};
              })
      .default_text("no limit");
  table.duration("deadline", options.deadline, "give up when not all is acknowledged by then", "s");
  declare(table, options.stop);
  declare(table, options.connection, mqtt::Letters::kMosquitto);
}

Result<std::string> topic_of(const Options& options) {
  if (!options.topic_file.empty()) {
    auto topic = cli::read_secret({"topic-file", options.topic_file, {}, {}});
    if (!topic) return fail(std::move(topic));
    return **std::move(topic);
  }
  std::string topic = options.topic.empty() ? options.connection.url_topic : options.topic;
  if (topic.empty() && options.from)
    return fail(ErrorCode::kUsage, "no topic",
                "-t TOPIC, -L mqtt://host/topic, or records that bring their own: --from envelope");
  return topic;
}

bool is_one_message(const Options& options) {
  return options.message || options.nothing || options.whole || !options.file.empty();
}

// Nothing when a stop signal came while one message was read.
Result<std::optional<publisher::Source>> source_of(const Options& options, io::Loop& loop) {
  using publisher::Source;
  std::string payload = options.message.value_or("");
  if (options.whole || !options.file.empty()) {
    auto input = options.whole ? io::Input::standard() : io::Input::open(options.file);
    if (!input) return fail(std::move(input));
    auto read = publisher::read_whole(loop, *input, options.records.max_record_bytes);
    if (!read) return fail(std::move(read));
    if (!*read) return std::optional<Source>();
    payload = **std::move(read);
  }
  if (is_one_message(options)) {
    return std::optional(Source::repeated(std::move(payload), options.repeat, options.repeat_delay));
  }
  auto input = io::Input::standard(options.lines || options.from != record::Framing::kAuto);
  if (!input) return fail(std::move(input));
  if (!options.from) return std::optional(Source::envelopes(*std::move(input), options.records.max_record_bytes));
  return std::optional(Source::records(*std::move(input), options.lines ? record::Framing::kLines : *options.from,
                                       options.records.max_record_bytes));
}

Result<void> publish(const Options& options, cli::Report& report, io::Loop& loop) {
  publisher::Settings settings;
  if (options.deadline) settings.deadline = monotonic_now() + *options.deadline;
  auto topic = topic_of(options);
  if (!topic) return fail(std::move(topic));
  if (!topic->empty()) {
    if (auto checked = mqtt::check_topic(*topic); !checked) return checked;
  }
  settings.topic = *std::move(topic);
  settings.qos = options.qos.value_or(is_one_message(options) ? 0 : 1);
  settings.retain = options.retain;
  settings.properties = options.connection.publish_properties;
  settings.messages_per_second = options.rate;
  auto connection = mqtt::connection(options.connection);
  if (!connection) return fail(std::move(connection));
  connection->send_maximum = options.inflight;
  auto source = source_of(options, loop);
  if (!source) return fail(std::move(source));
  if (!*source) return {};
  auto client = mqtt::Client::create(*std::move(connection), options.connection.debug);
  if (!client) return fail(std::move(client));
  return publisher::Publisher(*client, std::move(settings), report).run(loop, **source);
}

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto published = publish(options, report, *loop); !published) report.fail(published.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::Options>(fieldpipe::kTool, fieldpipe::declare, fieldpipe::work, argc, argv);
}
