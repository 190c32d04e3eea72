// SPDX-License-Identifier: MIT
#include "uplink_client/actions.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::uplink_client {
namespace {

constexpr std::uint8_t kMostPercent = 99;

// With this id uplink 2.13 to 2.15 cancels every action that is late (bytebeamio/uplink,
// uplink/src/base/bridge/actions_lane.rs at v2.15.1), so it says nothing about what was done.
constexpr std::string_view kTimeoutId = "timeout";

std::optional<std::uint8_t> parse_percent(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  const auto value = parse_integer<std::uint8_t>(trimmed(text));
  if (!value || *value > 100) return std::nullopt;
  return std::min(*value, kMostPercent);
}

}  // namespace

Progress parse_progress(json::Reader& reader, std::string_view line) {
  const std::string_view text = trimmed(line);
  if (const auto percent = parse_percent(text)) return {percent, {}, {}};
  if (text.starts_with('{')) {
    Progress progress;
    reader.open(text);
    reader.enter_object();
    while (reader.next_member()) {
      if (reader.key() == "progress") {
        progress.percent = std::min(static_cast<std::uint8_t>(reader.unsigned_integer(100)), kMostPercent);
      } else if (reader.key() == "state") {
        progress.state = reader.string();
      }
    }
    if (progress.state == uplink::kCompleted || progress.state == uplink::kFailed) progress.state.clear();
    if (reader.finish() && progress.percent) return progress;
  }
  return {std::nullopt, {}, std::string(text)};
}

Actions::Actions(ActionSettings settings, Journal journal, cli::Report& report)
    : settings_(std::move(settings)), journal_(std::move(journal)), report_(report) {}

const Command* Actions::command_for(std::string_view name) const {
  const Command* found = nullptr;
  for (const Command& command : settings_.commands) {
    if (command.name == name) return &command;
    if (command.name.empty()) found = &command;
  }
  return found;
}

void Actions::take(const uplink::Action& action, std::string& out) {
  const auto same = [&](const Running& running) { return running.response.action_id == action.id; };
  if (std::any_of(running_.begin(), running_.end(), same)) {
    return report_.say(fmt::format("action {}: came again while it is handled", printable(action.id)));
  }
  if (const auto* known = settings_.runs_again ? nullptr : journal_.find(action.id)) {
    report_.say(fmt::format("action {}: came again, is {} already", printable(action.id), known->state));
    uplink::ActionResponse response = *known;
    response.sequence = 1;
    response.timestamp_ms = to_unix_ms(wall_now());
    return uplink::append_response_line(out, response);
  }
  if (action.name == uplink::kCancelAction) return cancel(action, out);
  if (const Command* command = command_for(action.name)) return start(*command, action, out);
  if (settings_.answers_all) {
    answer_once(action.id, uplink::kFailed, {fmt::format("no handler for actions of type {}", action.name)}, out);
  }
}

void Actions::start(const Command& command, const uplink::Action& action, std::string& out) {
  // Not in the journal, because nothing was done: it may come again when there is room.
  uplink::ActionResponse response{action.id, std::string(uplink::kFailed), 100, {}, 1, to_unix_ms(wall_now())};
  if (running_.size() == kMostAtOnce) {
    response.errors = {fmt::format("{} actions are being handled already", kMostAtOnce)};
    return uplink::append_response_line(out, response);
  }
  auto handler = Handler::start(command.line, action);
  if (!handler) {
    report_.warn(fmt::format("action {}: {}", printable(action.id), handler.error().what));
    response.errors = {handler.error().what};
    return uplink::append_response_line(out, response);
  }
  report_.say(fmt::format("action {}: {}", printable(action.id), printable(action.name)));
  Running& running = running_.emplace_back();
  running.handler = *std::move(handler);
  if (settings_.timeout) running.deadline = monotonic_now() + *settings_.timeout;
  running.response = {action.id, "Running", 0, {}, 0, 0};
  answer(running.response, out);
}

void Actions::cancel(const uplink::Action& action, std::string& out) {
  const auto request = uplink::parse_cancel_request(reader_, action.payload);
  if (!request) {
    return answer_once(action.id, uplink::kFailed,
                       {fmt::format("invalid payload of cancel_action: {}", request.error().what)}, out);
  }
  const auto target = std::find_if(running_.begin(), running_.end(), [&](const Running& running) {
    return running.response.action_id == request->action_id;
  });
  if (target == running_.end()) {
    return answer_once(action.id, uplink::kFailed, {fmt::format("action {} is not being handled", request->action_id)},
                       out);
  }
  target->cancels.push_back(action.id);
  if (target->stopped_because.empty()) target->stopped_because = "action has been cancelled";
  target->handler->stop();
}

void Actions::stop() {
  for (Running& running : running_) {
    if (running.stopped_because.empty()) running.stopped_because = "the handler was stopped with the application";
    running.handler->stop();
  }
}

void Actions::watch(io::Loop& loop, bool has_room) const {
  for (const Running& running : running_) running.handler->watch(loop, has_room);
}

MonotonicTime Actions::deadline() const {
  MonotonicTime first = MonotonicTime::max();
  for (const Running& running : running_) {
    first = std::min(first, running.handler->deadline());
    if (running.deadline) first = std::min(first, *running.deadline);
  }
  return first;
}

void Actions::handle(bool has_room, std::string& out) {
  for (Running& running : running_) {
    if (running.deadline && monotonic_now() >= *running.deadline) {
      running.deadline.reset();
      if (running.stopped_because.empty()) {
        running.stopped_because = fmt::format("no end within {}", print_duration(*settings_.timeout));
      }
      running.handler->stop();
    }
    running.handler->handle(has_room, [&](std::string_view line) { take_progress(running, line, out); });
    if (running.handler->ended()) finish(running, out);
  }
  std::erase_if(running_, [](const Running& running) { return running.handler->ended(); });
}

void Actions::take_progress(Running& running, std::string_view line, std::string& out) {
  if (trimmed(line).empty() || !running.stopped_because.empty()) return;
  Progress progress = parse_progress(reader_, line);
  uplink::ActionResponse& response = running.response;
  response.state = progress.state.empty() ? "Progress" : std::move(progress.state);
  response.progress = progress.percent.value_or(response.progress);
  response.errors.clear();
  if (!progress.text.empty()) response.errors.push_back(std::move(progress.text));
  answer(response, out);
}

void Actions::finish(Running& running, std::string& out) {
  for (const std::string& id : running.cancels) answer_once(id, uplink::kCompleted, {}, out);
  uplink::ActionResponse& response = running.response;
  response.progress = 100;
  response.errors.clear();
  if (!running.stopped_because.empty()) {
    response.errors.push_back(running.stopped_because);
  } else if (!running.handler->succeeded()) {
    response.errors = running.handler->errors();
  }
  response.state = response.errors.empty() ? uplink::kCompleted : uplink::kFailed;
  report_.say(fmt::format("action {}: {}", printable(response.action_id), response.state));
  answer(response, out);
}

void Actions::answer_once(std::string_view id, std::string_view state, std::vector<std::string> errors,
                          std::string& out) {
  uplink::ActionResponse response{std::string(id), std::string(state), 100, std::move(errors), 0, 0};
  answer(response, out);
}

void Actions::answer(uplink::ActionResponse& response, std::string& out) {
  ++response.sequence;
  response.timestamp_ms = to_unix_ms(wall_now());
  if (response.is_final() && response.action_id != kTimeoutId) {
    if (auto added = journal_.add(response); !added) {
      report_.warn(
          fmt::format("journal: {}; action {} would run again", added.error().what, printable(response.action_id)));
    }
  }
  uplink::append_response_line(out, response);
}

}  // namespace fieldpipe::uplink_client
