// SPDX-License-Identifier: MIT
#include "flexconnect/options.h"

#include "core/text.h"

namespace fieldpipe::flexconnect {
namespace {

Result<void> add_tag(Tags& tags, std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos || sign == 0) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not KEY=VALUE", printable(text)));
  }
  if (find_invalid_utf8(text)) return fail(ErrorCode::kUsage, fmt::format("'{}' is not UTF-8", printable(text)));
  tags.emplace_back(text.substr(0, sign), text.substr(sign + 1));
  return {};
}

Result<void> read_level(std::optional<int>& level, std::string_view text) {
  if (text == "none") {
    level.reset();
    return {};
  }
  const auto number = parse_integer<int>(text);
  if (!number || *number < gzip::kMinLevel || *number > gzip::kMaxLevel) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is neither none nor a level from {} to {}", printable(text),
                                               gzip::kMinLevel, gzip::kMaxLevel));
  }
  level = number;
  return {};
}

Result<void> read_interval(std::chrono::milliseconds& interval, std::string_view text) {
  auto time = parse_duration(text);
  if (!time) return fail(std::move(time));
  interval = std::chrono::duration_cast<std::chrono::milliseconds>(*time);
  return {};
}

}  // namespace

void declare(cli::OptionTable& table, BusMap& buses) {
  table
      .parsed("bus", "NAME=N", "an interface and its bus number, 0 to 7",
              [&buses](std::string_view text) { return buses.add(text); })
      .repeats()
      .default_text("the number at the end of the interface's name");
}

void declare(cli::OptionTable& table, TextEncoderOptions& options, MessageOptions& messages) {
  table
      .choice<MessageForm>("to", "FORMAT", messages.form,
                           {{"binary", {Form::kBinary, record::Framing::kFrames}},
                            {"json", {Form::kJson, record::Framing::kFrames}},
                            {"hex", {Form::kBinary, record::Framing::kHex}}},
                           "form of the messages; hex is binary as a line of digits")
      .default_text("binary for frames, json for points");
  table
      .parsed("compress", "LEVEL", "gzip level 1 to 9, or none",
              [&messages](std::string_view text) { return read_level(messages.level, text); })
      .default_text(fmt::format("{}", gzip::kDefaultLevel));
  table.size("max-bytes", options.limits.max_bytes, 128, std::size_t{1} << 30U,
             "close a message before it would be larger, not compressed");
  table
      .integer<std::uint64_t>("max-frames", "N", options.limits.max_records, 1, std::uint64_t{1} << 32U,
                              "close a message when it holds so many frames or points")
      .default_text("any number");
  table
      .parsed("interval", "TIME", "close a message after so much frame time, or silence",
              [&options](std::string_view text) { return read_interval(options.limits.interval, text); })
      .default_text(print_duration(options.limits.interval));
  table.text("token-file", "FILE", messages.token_file, "file with the access token; FC_TOKEN holds the token itself")
      .completes(cli::Completes::kFiles);
  table.text("device-id", "ID", options.defaults.device_id, "device that JSON messages name");
  table
      .parsed("tag", "KEY=VALUE", "tag of each JSON message",
              [&options](std::string_view text) { return add_tag(options.defaults.tags, text); })
      .repeats();
  table
      .parsed("point-tag", "KEY=VALUE", "tag of each point in JSON messages that has none of its own",
              [&options](std::string_view text) { return add_tag(options.defaults.point_tags, text); })
      .repeats();
  table.choice<SignalNames>(
      "names", "KIND", options.names, {{"short", SignalNames::kShort}, {"long", SignalNames::kLong}},
      "fields with a database: Signal, or Message.Signal where a name repeats; or always the latter");
  table.flag("choices", options.choices, "also give the texts of values, beside the numbers");
}

}  // namespace fieldpipe::flexconnect
