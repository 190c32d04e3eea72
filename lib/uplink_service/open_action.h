// SPDX-License-Identifier: MIT
// What is remembered of an action, and its form in the spool.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"
#include "json/reader.h"
#include "spool/spool.h"
#include "uplink/action.h"

namespace fieldpipe::uplink_service {

enum class ActionState : std::uint8_t {
  kWaiting,    // for its application
  kDelivered,  // the application has it
  kExpired,    // its time was over: what the application still says of it is dropped
  kClosed,     // answered, or failed by the service; only its route is of use
};

struct OpenAction {
  std::uint64_t number = 0;  // counts the actions of this service, so that one id may come twice
  uplink::Action action;     // without payload when it is delivered
  std::string app;
  ActionState state = ActionState::kWaiting;
  std::optional<MonotonicTime> times_out;  // the time limit of its route
  MonotonicTime leaves_queue{};            // the end of waiting

  // Of its record in the spool; 0: none yet, or an old one only.
  spool::Sequence record = 0;
  bool saved = false;
  MonotonicTime save_after{};  // while it is not

  [[nodiscard]] bool is_open() const { return state == ActionState::kWaiting || state == ActionState::kDelivered; }

  // When its time is over.
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;
};

// The clock that times of a record count on. Within one run of the system the monotonic clock goes on when the service
// starts again; after another start of the system what was left of a time goes on from there.
struct Epoch {
  std::string boot;  // names the run of the system; empty: unknown
  MonotonicTime now;
};

// Appends `action` as a record: a JSON object.
void append_record(std::string& out, const OpenAction& action, const Epoch& epoch);

// Reads a record back. Fails with kBadData.
Result<OpenAction> parse_record(json::Reader& reader, std::string_view record, const Epoch& epoch);

}  // namespace fieldpipe::uplink_service
