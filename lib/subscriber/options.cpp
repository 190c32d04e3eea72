// SPDX-License-Identifier: MIT
#include "subscriber/options.h"

#include <string_view>
#include <utility>

namespace fieldpipe::subscriber {
namespace {

Result<void> add_filter(std::vector<std::string>& filters, std::string_view text) {
  std::string filter(text);
  if (auto checked = mqtt::check_filter(filter); !checked) return checked;
  filters.push_back(std::move(filter));
  return {};
}

}  // namespace

void declare(cli::OptionTable& table, Options& options) {
  Settings& settings = options.settings;
  table.section("Subscription");
  // Before --url: a topic heard after one in a URL comes from a weaker level, and the URL's holds.
  table
      .parsed("topic", "FILTER", "subscribe to this",
              [&options](std::string_view text) {
                return options.connection.url_topic.empty() ? add_filter(options.settings.filters, text)
                                                            : Result<void>();
              })
      .letter('t')
      .repeats();
  table
      .parsed("filter-out", "FILTER", "do not print messages under these topics",
              [&settings](std::string_view text) { return add_filter(settings.unwanted, text); })
      .letter('T')
      .repeats();
  table
      .parsed("unsubscribe", "FILTER", "take this subscription out of the session",
              [&settings](std::string_view text) { return add_filter(settings.unsubscribed, text); })
      .letter('U')
      .repeats();
  table
      .integer("qos", "QOS", settings.qos, 0, 2,
               "highest quality of service; a kept session at 2 loses messages when the run is killed")
      .letter('q');
  table.flag("no-retained", settings.no_retained, "do not print retained messages").letter('R');
  table.flag("retained-only", settings.retained_only, "print retained messages, end at the first other one");
  table.flag("retain-as-published", settings.retain_as_published,
             "show on live messages whether they are retained (MQTT 5)");
  table.flag("remove-retained", settings.remove_retained, "remove each retained message from the broker when it comes");

  table.section("Output");
  using record::Framing;
  table
      .choice("to", "FORMAT", settings.to,
              {{"lines", Framing::kLines},
               {"frames", Framing::kFrames},
               {"nul", Framing::kNul},
               {"hex", Framing::kHex},
               {"base64", Framing::kBase64},
               {"envelope", std::nullopt}},
              "how messages become records")
      .part_of("form", "to");
  table
      .parsed("format", "PATTERN", "print this for each message; %t is the topic, %p the payload",
              [&settings](std::string_view text) -> Result<void> {
                auto format = Format::parse(text);
                if (!format) return fail(std::move(format));
                settings.format = *std::move(format);
                return {};
              })
      .letter('F')
      .part_of("form", "format");
  table.flag("show-topic", settings.show_topic, "print the topic in front of the payload").letter('v');
  table.flag("no-newline", settings.no_newline, "print payloads as they are, with nothing behind them").letter('N');

  table.section("End");
  table
      .integer("count", "COUNT", settings.count, std::uint64_t{1}, std::uint64_t{1} << 62U,
               "end after this many messages")
      .letter('C');
  table.duration("deadline", options.deadline, "end after this time", "s").letter('W');
  table.duration("idle-timeout", settings.idle_timeout, "end when nothing has come for this time");
  table.flag("exit-after-subscribe", settings.leave_when_subscribed, "end when the subscriptions stand").letter('E');
}

Result<Settings> settings(const Options& options) {
  Settings result = options.settings;
  if (result.filters.empty() && !options.connection.url_topic.empty()) {
    if (auto added = add_filter(result.filters, options.connection.url_topic); !added) return fail(std::move(added));
  }
  if (result.filters.empty() && result.unsubscribed.empty()) {
    return fail(ErrorCode::kUsage, "no topic", "-t FILTER, or -L mqtt://host/filter");
  }
  const bool lines = result.to == record::Framing::kLines;
  const bool textual = lines || result.to == record::Framing::kHex || result.to == record::Framing::kBase64;
  if (result.show_topic && !result.format && !textual) {
    return fail(ErrorCode::kUsage, "--show-topic: only for lines, hex and base64", "--to envelope holds the topic");
  }
  if (result.no_newline && !result.format && !lines)
    return fail(ErrorCode::kUsage, "--no-newline: only for lines and --format");
  result.keeps_session = options.connection.keep_session;
  result.subscribe_properties = options.connection.subscribe_properties;
  result.unsubscribe_properties = options.connection.unsubscribe_properties;
  if (options.deadline) result.deadline = monotonic_now() + *options.deadline;
  return result;
}

}  // namespace fieldpipe::subscriber
