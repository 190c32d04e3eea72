// SPDX-License-Identifier: MIT
#include "uplink_service/actions.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::uplink_service {
namespace {

// So many actions are remembered for a cancel_action that comes later. uplink's number.
constexpr std::uint64_t kRemembered = 32;

// So many actions whose time is over are remembered to drop what their applications still say.
constexpr std::uint64_t kRememberedExpired = 1024;

// A bound of what is open at a time: an action with a time limit of years would be kept for as long.
constexpr std::size_t kMostOpen = 1024;

// How long an application may take to read what it was given.
constexpr std::chrono::seconds kHandingOver{1};

constexpr std::chrono::seconds kRetry{1};

constexpr std::size_t kReadBytes = std::size_t{256} << 10U;

constexpr std::string_view kReceived = "Received";
constexpr std::uint8_t kAll = 100;

}  // namespace

Actions Actions::recover(const uplink::Configuration& configuration, spool::Spool& spool, std::string boot,
                         MonotonicTime now) {
  Actions actions(configuration, spool, std::move(boot));
  actions.recover_records(now);
  actions.recover_answers();
  actions.forget_old();
  return actions;
}

void Actions::recover_records(MonotonicTime now) {
  for (;;) {
    const auto records = spool_.next(kLane, std::numeric_limits<std::size_t>::max(), kReadBytes);
    if (!records || records->empty()) return;
    for (const spool::Message& record : *records) {
      auto action = parse_record(reader_, record.payload, {boot_, now});
      if (!action) continue;  // of another version: left alone
      action->record = record.sequence;
      action->saved = true;
      last_number_ = std::max(last_number_, action->number);
      const auto [place, is_new] = actions_.try_emplace(action->number);
      // A crash came between a record and the end of the one that it replaced.
      if (!is_new) spool_.finish(kLane, place->second.record, place->second.record);
      place->second = *std::move(action);
    }
  }
}

// An answer that is there and the record of its action is not: see the class.
void Actions::recover_answers() {
  for (;;) {
    const auto statuses = spool_.next(uplink::kResponseStream, std::numeric_limits<std::size_t>::max(), kReadBytes);
    if (!statuses || statuses->empty()) break;
    for (const spool::Message& status : *statuses) {
      std::string id;
      std::string state;
      reader_.open(status.payload);
      reader_.enter_object();
      while (reader_.next_member()) {
        const std::string_view key = reader_.key();
        const bool is_text = reader_.type() == json::Type::kString;
        if ((key == "action_id" || key == "id") && is_text) id = reader_.string();
        if (key == "state" && is_text) state = reader_.string();
      }
      if (!reader_.finish() || (state != uplink::kCompleted && state != uplink::kFailed)) continue;
      for (auto& [number, action] : actions_) {
        if (action.action.id == id && action.is_open() && action.record < status.sequence) {
          change(action, ActionState::kClosed);
        }
      }
    }
  }
  spool_.rewind(uplink::kResponseStream);
}

Result<void> Actions::receive(std::string_view text, MonotonicTime now) {
  auto action = uplink::parse_action(reader_, text);
  if (!action) return fail(std::move(action));
  ++counts_.received;
  tell(action->id, kReceived, 0);
  Result<Target> target;
  if (action->name == uplink::kCancelAction) {
    target = cancel_target(*action);
  } else if (auto routed = route(action->name)) {
    target = *std::move(routed);
  } else {
    target =
        fail(ErrorCode::kRefused, fmt::format("Uplink isn't configured to handle actions of type {}", action->name));
  }
  if (target && count(ActionState::kWaiting, target->app) >= kQueue) {
    target = fail(ErrorCode::kRefused, "Could not forward action to collector: sending on a full channel");
  }
  if (target && count(ActionState::kWaiting) + count(ActionState::kDelivered) >= kMostOpen) {
    target = fail(ErrorCode::kRefused, fmt::format("{} actions are open, the limit", kMostOpen));
  }
  if (!target) {
    ++counts_.unrouted;
    tell(action->id, uplink::kFailed, kAll, std::move(target).error().what);
    return {};
  }
  OpenAction& open = actions_[++last_number_];
  open.number = last_number_;
  open.action = *std::move(action);
  open.app = std::move(target->app);
  if (target->timeout) open.times_out = now + *target->timeout;
  open.leaves_queue = now + configuration_.action_queue_age;
  forget_old();
  return {};
}

std::optional<Actions::Target> Actions::route(const std::string& name) const {
  for (const uplink::App& app : configuration_.apps) {
    for (const uplink::Route& route : app.actions) {
      if (route.name != name) continue;
      return Target{app.name, route.timeout ? route.timeout : configuration_.default_action_timeout};
    }
  }
  return std::nullopt;
}

// Where the action went that `cancel` is about: whether it still runs is known there alone.
Result<Actions::Target> Actions::cancel_target(const uplink::Action& cancel) {
  const auto request = uplink::parse_cancel_request(reader_, cancel.payload);
  if (!request) {
    std::string quoted;
    json::append_string(quoted, cancel.payload);
    return fail(ErrorCode::kRefused, fmt::format("Invalid cancel action payload: {}", quoted));
  }
  const OpenAction* const target = latest(request->action_id);
  if (target == nullptr) {
    return fail(ErrorCode::kRefused, "Cancellation request received for action currently not in execution!");
  }
  return Target{target->app, configuration_.default_action_timeout};
}

const OpenAction* Actions::latest(std::string_view action_id) const {
  for (auto action = actions_.rbegin(); action != actions_.rend(); ++action) {
    if (action->second.action.id == action_id) return &action->second;
  }
  return nullptr;
}

std::size_t Actions::count(ActionState state, std::string_view app) const {
  return static_cast<std::size_t>(std::count_if(actions_.begin(), actions_.end(), [&](const auto& action) {
    return action.second.state == state && (app.empty() || action.second.app == app);
  }));
}

bool Actions::is_late(std::string_view action_id) const {
  const OpenAction* const action = latest(action_id);
  return action != nullptr && action->state == ActionState::kExpired;
}

void Actions::answered(std::string_view action_id, bool is_final) {
  for (auto& [number, action] : actions_) {
    if (action.action.id != action_id) continue;
    action.save_after = {};
    if (is_final && action.is_open()) change(action, ActionState::kClosed);
  }
}

const OpenAction* Actions::front(std::string_view app) const {
  for (const auto& [number, action] : actions_) {
    if (action.state == ActionState::kWaiting && action.app == app) return &action;
  }
  return nullptr;
}

void Actions::delivered(std::uint64_t number, MonotonicTime now) {
  const auto found = actions_.find(number);
  if (found == actions_.end() || found->second.state != ActionState::kWaiting) return;
  ++counts_.delivered;
  change(found->second, ActionState::kDelivered);
  found->second.save_after = now + kHandingOver;
}

void Actions::change(OpenAction& action, ActionState state) {
  action.state = state;
  action.saved = false;
  action.save_after = {};
  action.action.payload.clear();
}

void Actions::expire(MonotonicTime now) {
  for (auto& [number, action] : actions_) {
    if (!action.deadline() || *action.deadline() > now) continue;
    ++counts_.expired;
    if (action.times_out && *action.times_out <= now) {
      tell(action.action.id, uplink::kFailed, kAll, "Action timedout");
      change(action, ActionState::kExpired);
    } else {
      tell(action.action.id, uplink::kFailed, kAll,
           fmt::format("Action waited {} for its application", print_duration(configuration_.action_queue_age)));
      change(action, ActionState::kClosed);
    }
  }
}

std::optional<MonotonicTime> Actions::deadline() const {
  std::optional<MonotonicTime> first;
  for (const auto& [number, action] : actions_) {
    for (const auto& time : {action.deadline(), action.saved ? std::nullopt : std::optional(action.save_after)}) {
      if (time && (!first || *time < *first)) first = time;
    }
  }
  return first;
}

void Actions::tell(const std::string& action_id, std::string_view state, std::uint8_t progress, std::string error) {
  uplink::ActionResponse response;
  response.action_id = action_id;
  response.state = state;
  response.progress = progress;
  if (!error.empty()) response.errors.push_back(std::move(error));
  const auto now = std::chrono::floor<std::chrono::milliseconds>(wall_now()).time_since_epoch().count();
  response.timestamp_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(now, 0));
  uplink::append_response_point(statuses_.emplace_back(), response);
}

bool Actions::has_unsaved(MonotonicTime now) const {
  return !statuses_.empty() || std::any_of(actions_.begin(), actions_.end(), [now](const auto& action) {
    return !action.second.saved && action.second.save_after <= now;
  });
}

void Actions::save(Streams& streams, MonotonicTime now) {
  for (std::string& status : statuses_) {
    if (streams.append_status(status)) {
      appended_statuses_.push_back(std::move(status));
    } else {
      streams.push_status(status);
    }
  }
  statuses_.clear();
  std::string record;
  for (auto& [number, action] : actions_) {
    if (action.saved || action.save_after > now) continue;
    action.save_after = now + kRetry;  // should this fail
    record.clear();
    append_record(record, action, {boot_, now});
    const auto sequence = streams.append_note(kLane, as_bytes(record));
    if (sequence) appended_.push_back({number, *sequence});
  }
}

void Actions::saved(Streams& streams, const Result<void>& committed) {
  if (committed) {
    for (const Appended& appended : appended_) {
      const auto found = actions_.find(appended.number);
      if (found == actions_.end()) continue;
      const spool::Sequence old = std::exchange(found->second.record, appended.record);
      if (old != 0) spool_.finish(kLane, old, old);
      found->second.saved = true;
    }
  } else {
    for (const std::string& status : appended_statuses_) streams.push_status(status);
  }
  appended_.clear();
  appended_statuses_.clear();
  for (auto action = actions_.begin(); action != actions_.end();) {
    if (action->second.record != 0) {
      ++action;
      continue;
    }
    // The broker would hold back nothing but this for an action that is not acknowledged, and we could not send
    // anything; so it is told that the action has failed.
    tell(action->second.action.id, uplink::kFailed, kAll,
         fmt::format("The action could not be stored{}{}", committed ? "" : ": ",
                     committed ? "" : committed.error().what));
    action = actions_.erase(action);
  }
}

void Actions::touch() {
  for (auto& [number, action] : actions_) {
    if (action.is_open()) action.saved = false;
    action.save_after = {};
  }
}

void Actions::forget_old() {
  const auto is_older_than = [&](std::uint64_t number, std::uint64_t count) { return number + count <= last_number_; };
  for (auto entry = actions_.begin(); entry != actions_.end();) {
    const OpenAction& action = entry->second;
    const bool matters = action.state == ActionState::kExpired ? !is_older_than(action.number, kRememberedExpired)
                                                               : action.deadline().has_value();
    if (matters || !is_older_than(action.number, kRemembered)) {
      ++entry;
      continue;
    }
    if (action.record != 0) spool_.finish(kLane, action.record, action.record);
    entry = actions_.erase(entry);
  }
}

Actions::Counts Actions::counts() const {
  Counts counts = counts_;
  counts.waiting = count(ActionState::kWaiting);
  counts.open = count(ActionState::kDelivered);
  return counts;
}

}  // namespace fieldpipe::uplink_service
