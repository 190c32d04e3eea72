// SPDX-License-Identifier: MIT
// Actions, which come down, and the responses to them, which go up. From bytebeamio/uplink, uplink/src/base/actions.rs
// and uplink/src/base/bridge/actions_lane.rs, at v2.18.5, where responses are unchecked; their shape is checked here as
// v2.16 to v2.18.0 did.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::uplink {

inline constexpr std::size_t kMaxActionBytes = std::size_t{1} << 20U;  // the whole JSON text; an MQTT packet has less
inline constexpr std::size_t kMaxActionNameBytes = 256;                // of id and name each

inline constexpr std::string_view kResponseStream = "action_status";
inline constexpr std::string_view kCancelAction = "cancel_action";

// The only states that mean something; all others are free text.
inline constexpr std::string_view kCompleted = "Completed";
inline constexpr std::string_view kFailed = "Failed";

struct Action {
  std::string id;  // text, though usually digits
  std::string name;
  std::string payload;  // text, usually JSON, perhaps empty
};

// Reads an action as the broker or the application port has it: an object with `action_id` (or `id`, but not both),
// `name` and `payload`, all strings; other keys are left out. Id and name hold no control characters. Fails with
// kBadData.
Result<Action> parse_action(json::Reader& reader, std::string_view text);

// Appends the line for the application port, with its LF: the three keys in the order that uplink has them.
void append_action_line(std::string& out, const Action& action);

// What a cancel_action asks to be stopped.
struct CancelRequest {
  std::string action_id;
  std::string name;
};

// Reads the payload of a cancel_action: both keys are needed. Fails with kBadData.
Result<CancelRequest> parse_cancel_request(json::Reader& reader, std::string_view payload);

struct ActionResponse {
  std::string action_id;
  std::string state;
  std::uint8_t progress = 0;  // 0 to 100 is meant
  std::vector<std::string> errors;
  std::uint32_t sequence = 0;
  std::uint64_t timestamp_ms = 0;

  [[nodiscard]] bool is_final() const { return state == kCompleted || state == kFailed; }
};

// Reads a line of the stream action_status. All keys are needed, `id` will do for `action_id`, others are left out.
// Fails with kBadData.
Result<ActionResponse> parse_response(json::Reader& reader, std::string_view line);

// Appends the line for the application port, with its LF.
void append_response_line(std::string& out, const ActionResponse& response);

// Appends the element of the array that goes to the broker: the same object without the key stream.
void append_response_point(std::string& out, const ActionResponse& response);

}  // namespace fieldpipe::uplink
