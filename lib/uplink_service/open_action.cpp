// SPDX-License-Identifier: MIT
#include "uplink_service/open_action.h"

#include <algorithm>
#include <array>
#include <utility>

#include "json/writer.h"

namespace fieldpipe::uplink_service {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, ActionState>, 4> kStates{{{"waiting", ActionState::kWaiting},
                                                                           {"delivered", ActionState::kDelivered},
                                                                           {"expired", ActionState::kExpired},
                                                                           {"closed", ActionState::kClosed}}};

std::int64_t milliseconds_between(MonotonicTime from, MonotonicTime to) {
  return std::chrono::ceil<milliseconds>(to - from).count();
}

// A time both ways: on the clock of this run of the system, and how far away it is.
void append_time(std::string& out, std::string_view name, MonotonicTime time, const Epoch& epoch) {
  out.append(",\"").append(name).append("\":[");
  json::append_integer(out, milliseconds_between(MonotonicTime{}, time));
  out.push_back(',');
  json::append_integer(out, std::max<std::int64_t>(0, milliseconds_between(epoch.now, time)));
  out.push_back(']');
}

struct StoredTime {
  std::int64_t at_ms = 0;
  std::int64_t left_ms = 0;
};

StoredTime read_time(json::Reader& reader) {
  StoredTime time;
  reader.enter_array();
  if (reader.next_element()) time.at_ms = reader.integer();
  if (reader.next_element()) time.left_ms = reader.integer();
  while (reader.next_element()) reader.refuse("more than two numbers");
  return time;
}

// Never later than what was left when it was written.
MonotonicTime time_of(const StoredTime& stored, bool same_boot, const Epoch& epoch) {
  constexpr std::int64_t kMostMs = std::int64_t{20} * 366 * 86400 * 1000;
  const MonotonicTime latest = epoch.now + milliseconds(std::clamp<std::int64_t>(stored.left_ms, 0, kMostMs));
  if (!same_boot) return latest;
  return std::min(latest, MonotonicTime{} + milliseconds(std::clamp<std::int64_t>(stored.at_ms, 0, 2 * kMostMs)));
}

}  // namespace

std::optional<MonotonicTime> OpenAction::deadline() const {
  if (state == ActionState::kWaiting) return times_out ? std::min(*times_out, leaves_queue) : leaves_queue;
  return state == ActionState::kDelivered ? times_out : std::nullopt;
}

void append_record(std::string& out, const OpenAction& action, const Epoch& epoch) {
  out.append("{\"number\":");
  json::append_integer(out, action.number);
  out.append(",\"action_id\":");
  json::append_string(out, action.action.id);
  out.append(",\"name\":");
  json::append_string(out, action.action.name);
  out.append(",\"app\":");
  json::append_string(out, action.app);
  out.append(",\"state\":");
  json::append_string(out, kStates.at(static_cast<std::size_t>(action.state)).first);
  if (action.state == ActionState::kWaiting) {
    out.append(",\"payload\":");
    json::append_string(out, action.action.payload);
    append_time(out, "leaves_queue", action.leaves_queue, epoch);
  }
  if (action.is_open() && action.times_out) append_time(out, "times_out", *action.times_out, epoch);
  out.append(",\"boot\":");
  json::append_string(out, epoch.boot);
  out.push_back('}');
}

Result<OpenAction> parse_record(json::Reader& reader, std::string_view record, const Epoch& epoch) {
  OpenAction action;
  std::string boot;
  StoredTime leaves_queue;
  std::optional<StoredTime> times_out;
  bool known_state = false;
  reader.open(record);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "number") {
      action.number = reader.unsigned_integer();
    } else if (key == "action_id") {
      action.action.id = reader.string();
    } else if (key == "name") {
      action.action.name = reader.string();
    } else if (key == "app") {
      action.app = reader.string();
    } else if (key == "state") {
      const std::string_view name = reader.string();
      for (const auto& [word, state] : kStates) {
        if (word != name) continue;
        action.state = state;
        known_state = true;
      }
    } else if (key == "payload") {
      action.action.payload = reader.string();
    } else if (key == "leaves_queue") {
      leaves_queue = read_time(reader);
    } else if (key == "times_out") {
      times_out = read_time(reader);
    } else if (key == "boot") {
      boot = reader.string();
    }
  }
  if (auto read = reader.finish(); !read) return fail(std::move(read));
  if (action.number == 0 || !known_state) return fail(ErrorCode::kBadData, "no record of an action");
  const bool same_boot = !boot.empty() && boot == epoch.boot;
  action.leaves_queue = time_of(leaves_queue, same_boot, epoch);
  if (times_out) action.times_out = time_of(*times_out, same_boot, epoch);
  return action;
}

}  // namespace fieldpipe::uplink_service
