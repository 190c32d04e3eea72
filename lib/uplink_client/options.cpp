// SPDX-License-Identifier: MIT
#include "uplink_client/options.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "cli/state_directory.h"
#include "core/bytes.h"
#include "core/text.h"
#include "uplink/payload.h"

namespace fieldpipe::uplink_client {
namespace {

constexpr std::size_t kLeastBufferBytes = std::size_t{512} * 1024;
constexpr std::size_t kMostBufferBytes = std::size_t{1} << 30U;

// Of a journal's name: what comes behind it still fits into a file name.
constexpr std::size_t kMostNameBytes = 200;

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
}

Result<void> add_command(std::string_view text, std::vector<Command>& to) {
  const std::size_t sign = text.find('=');
  const std::string_view name = sign == std::string_view::npos ? std::string_view() : text.substr(0, sign);
  Command command;
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_name_character)) {
    command.name = name;
    text.remove_prefix(sign + 1);
  }
  if (trimmed(text).empty()) return fail(ErrorCode::kUsage, "command is empty");
  command.line = text;
  const auto same = [&](const Command& other) { return other.name == command.name; };
  if (std::any_of(to.begin(), to.end(), same)) {
    return fail(ErrorCode::kUsage, command.name.empty()
                                       ? "two commands for all actions"
                                       : fmt::format("two commands for actions called {}", printable(command.name)));
  }
  to.push_back(std::move(command));
  return {};
}

// One journal for each service, because each has an application of its own.
std::string journal_name(const io::Endpoint& service) {
  std::string name;
  for (const char c : io::print_endpoint(service)) {
    if (is_name_character(c)) {
      name += c;
    } else {
      name += '%';
      append_hex(name, as_bytes(std::string_view(&c, 1)));
    }
  }
  if (name.size() > kMostNameBytes) name.erase(0, name.size() - kMostNameBytes);
  return "actions-" + name;
}

}  // namespace

void declare(cli::OptionTable& table, Options& options) {
  table.section("Data");
  table.parsed("stream", "NAME", "stream of lines that name none", [&options](std::string_view text) {
    auto checked = uplink::check_stream_name(text);
    if (!checked) return Result<void>(fail(ErrorCode::kUsage, checked.error().what));
    options.lines.stream = text;
    return Result<void>();
  });
  table.text("field", "NAME", options.lines.field, "column of a plain number");
  using uplink::Form;
  table.choice("from", "FORMAT", options.lines.form,
               {{"auto", Form::kAuto},
                {"json", Form::kJson},
                {"pairs", Form::kPairs},
                {"csv", Form::kCsv},
                {"numbers", Form::kNumbers}},
               "what the lines of stdin are");
  table.flag("strict", options.strict, "stop at the first line that cannot be sent");

  table.section("Actions");
  table.flag("actions", options.prints_actions, "print actions, one JSON object a line");
  table
      .parsed("exec", "[NAME=]COMMAND", "run this command for each action, or for those called NAME",
              [&options](std::string_view text) { return add_command(text, options.actions.commands); })
      .repeats();
  table.duration("exec-timeout", options.actions.timeout, "stop a command that takes longer");
  table.flag("rerun", options.actions.runs_again, "run the command again for an action that was finished");
  table.text("state", "DIR", options.state, "folder for the answers to finished actions")
      .default_text("the service manager's, or ~/.local/state/fieldpipe/uplink-send")
      .completes(cli::Completes::kDirectories);
  table.flag("status", options.status, "send one answer to an action, from the operands, and end").command_line_only();
  table.operands("ID STATE [PROGRESS] [ERROR]", options.operands, "of --status: an answer");

  table.section("Service");
  table
      .parsed("connect", "ADDRESS", "where the service is: HOST:PORT, :PORT or unix:PATH",
              [&options](std::string_view text) -> Result<void> {
                auto endpoint = io::parse_endpoint(text);
                if (!endpoint) return fail(std::move(endpoint));
                options.service = *std::move(endpoint);
                return {};
              })
      .letter('c')
      .default_text(":5050");
  table.flag("retry", options.retry, "try the first connection again, too");
  table.duration("timeout", options.timeout, "time limit for an answer");
  table.flag("wait-stored", options.wait_stored, "end when uplink-serve has everything on its disk");
  table.size("buffer", options.buffer_bytes, kLeastBufferBytes, kMostBufferBytes,
             "stop reading while so much is to be sent or confirmed");
}

Result<Settings> settings(const Options& options) {
  if (!options.status && !options.operands.empty()) {
    return fail(ErrorCode::kUsage, fmt::format("{}: unexpected operand", printable(options.operands.front())),
                "data comes on stdin; --status takes ID STATE [PROGRESS] [ERROR...]");
  }
  if (options.status && (options.prints_actions || !options.actions.commands.empty())) {
    return fail(ErrorCode::kUsage, "--status: cannot go together with --actions and --exec");
  }
  const std::string& field = options.lines.field;
  if (field.empty()) return fail(ErrorCode::kUsage, "--field: is empty");
  if (field == "stream" || field == "sequence" || field == "timestamp") {
    return fail(ErrorCode::kUsage, fmt::format("--field: {} is no column", field));
  }
  Settings to;
  to.link = {options.service, options.retry, options.wait_stored, options.timeout, options.buffer_bytes};
  to.lines = options.lines;
  to.strict = options.strict;
  return to;
}

Result<std::optional<std::string>> status_line(const Options& options) {
  if (!options.status) return std::optional<std::string>();
  const std::vector<std::string>& words = options.operands;
  if (words.size() < 2) {
    return fail(ErrorCode::kUsage, "--status: needs an id and a state", "--status ID STATE [PROGRESS] [ERROR...]");
  }
  uplink::ActionResponse response;
  response.action_id = words[0];
  response.state = words[1];
  response.progress = response.is_final() ? 100 : 0;
  std::size_t next = 2;
  if (next < words.size()) {
    if (const auto progress = parse_integer<std::int64_t>(words[next])) {
      if (*progress < 0 || *progress > 100) {
        return fail(ErrorCode::kUsage,
                    fmt::format("--status: progress '{}' is not from 0 to 100", printable(words[next])));
      }
      response.progress = static_cast<std::uint8_t>(*progress);
      ++next;
    }
  }
  response.errors.assign(words.begin() + static_cast<std::ptrdiff_t>(next), words.end());
  response.sequence = 1;
  response.timestamp_ms = to_unix_ms(wall_now());
  std::string line;
  uplink::append_response_line(line, response);
  json::Reader reader;
  if (auto checked = uplink::parse_response(reader, std::string_view(line).substr(0, line.size() - 1)); !checked) {
    return fail(ErrorCode::kUsage, "--status: " + checked.error().what);
  }
  return std::optional(std::move(line));
}

Result<std::optional<Actions>> actions(const Options& options, cli::Report& report) {
  if (options.actions.commands.empty()) return std::optional<Actions>();
  std::string directory = options.state;
  if (directory.empty()) {
    auto found = cli::state_directory("uplink-send", "the state", "--state DIR");
    if (!found) return fail(std::move(found));
    directory = *std::move(found);
  }
  auto journal = Journal::open(directory, journal_name(options.service));
  if (!journal) return fail(std::move(journal));
  ActionSettings settings = options.actions;
  settings.answers_all = !options.prints_actions;
  return std::optional<Actions>(std::in_place, std::move(settings), *std::move(journal), report);
}

}  // namespace fieldpipe::uplink_client
