// SPDX-License-Identifier: MIT
#include "publisher/options.h"

#include <limits>
#include <utility>

#include "cli/secret.h"

namespace fieldpipe::publisher {
namespace {

bool is_one_message(const Options& options) {
  return options.message || options.nothing || options.whole || !options.file.empty();
}

void declare_source(cli::OptionTable& table, Options& options) {
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
}

Result<std::string> topic_of(const Options& options) {
  // Each envelope has one, and an answer of the broker about it says nothing about the next.
  if (!options.from) return std::string();
  if (!options.topic_file.empty()) {
    auto topic = cli::read_secret({"--topic-file", options.topic_file, {}, {}});
    if (!topic) return fail(std::move(topic));
    return **std::move(topic);
  }
  return options.topic.empty() ? options.connection.url_topic : options.topic;
}

}  // namespace

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
  declare_source(table, options);
  table.integer("qos", "QOS", options.qos, 0, 2, "quality of service")
      .letter('q')
      .default_text("1 for records of stdin and with a spool, else 0");
  table.flag("retain", options.retain, "have the broker keep the message for later subscribers").letter('r');
  table.integer("repeat", "COUNT", options.repeat, std::uint64_t{1}, std::uint64_t{1} << 62U,
                "publish -m, -f, -s or -n this often");
  table.duration("repeat-delay", options.repeat_delay, "time between repeats", "s");
  record::declare(table, options.records);

  table.section("Flow");
  table
      .integer("inflight", "COUNT", options.inflight, std::uint16_t{1}, std::uint16_t{10000},
               "unacknowledged messages at a time")
      .letter('M');
  table
      .integer("rate", "NUMBER", options.messages_per_second, std::uint32_t{1},
               std::numeric_limits<std::uint32_t>::max(), "messages a second, at most")
      .default_text("no limit");
  table.duration("deadline", options.deadline, "give up when not all is acknowledged by then", "s");
  spool::declare(table, options.spool, "none; what is read and not acknowledged is gone with the run");
  table.duration("drain-timeout", options.drain_timeout,
                 "with a spool, time limit for delivery after the end of input");
}

Result<Settings> settings(const Options& options) {
  Settings to;
  if (options.deadline) to.deadline = monotonic_now() + *options.deadline;
  auto topic = topic_of(options);
  if (!topic) return fail(std::move(topic));
  if (options.from) {
    if (topic->empty()) {
      return fail(ErrorCode::kUsage, "no topic",
                  "-t TOPIC, -L mqtt://host/topic, or records that bring their own: --from envelope");
    }
    if (auto checked = mqtt::check_topic(*topic); !checked) return fail(std::move(checked));
  }
  to.topic = *std::move(topic);
  to.qos = options.qos.value_or(is_one_message(options) && options.spool.directory.empty() ? 0 : 1);
  if (!options.spool.directory.empty()) to.drain_timeout = options.drain_timeout;
  to.retain = options.retain;
  to.properties = options.connection.publish_properties;
  to.messages_per_second = options.messages_per_second;
  return to;
}

Result<std::optional<Source>> source(const Options& options, io::Loop& loop) {
  std::string payload = options.message.value_or("");
  if (options.whole || !options.file.empty()) {
    auto input = options.whole ? io::Input::standard() : io::Input::open(options.file);
    if (!input) return fail(std::move(input));
    auto read = read_whole(loop, *input, options.records.max_record_bytes);
    if (!read) return fail(std::move(read));
    if (!*read) return std::optional<Source>();
    payload = **std::move(read);
  }
  if (is_one_message(options)) {
    return std::optional(Source::repeated(std::move(payload), options.repeat, options.repeat_delay));
  }
  auto input = io::Input::standard(options.lines || options.from != record::Framing::kAuto);
  if (!input) return fail(std::move(input));
  if (!options.from) {
    return std::optional(Source::envelopes(*std::move(input), options.records.max_record_bytes));
  }
  return std::optional(Source::records(*std::move(input), options.lines ? record::Framing::kLines : *options.from,
                                       options.records.max_record_bytes));
}

}  // namespace fieldpipe::publisher
