// SPDX-License-Identifier: MIT
#include "uplink/action.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"
#include "uplink/payload.h"

namespace fieldpipe::uplink {
namespace {

Result<void> check_size(std::string_view text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return {};
  return fail(ErrorCode::kBadData,
              fmt::format("{} bytes, more than the limit of {}", text.size(), print_size(most_bytes)));
}

// An id or a name: it becomes a line of a log, a variable of the environment and a key of a table.
std::string take_name(json::Reader& reader) {
  const std::string_view name = reader.string();
  if (name.size() > kMaxActionNameBytes) {
    reader.refuse(fmt::format("{} bytes, more than the limit of {}", name.size(), kMaxActionNameBytes));
  } else if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
    reader.refuse("holds a control character");
  }
  return std::string(name);
}

// The keys of an object whose values are taken where they are wanted, each once.
struct Seen {
  bool id = false;
  bool name = false;
  bool payload = false;
};

Result<Seen> walk_action(json::Reader& reader, std::string_view text, Action& to) {
  Seen seen;
  reader.open(text, 0, kMaxLineDepth);
  reader.enter_object();
  while (reader.next_member()) {
    if (reader.key() == "action_id" || reader.key() == "id") {
      reader.once(seen.id);
      to.id = take_name(reader);
    } else if (reader.key() == "name") {
      reader.once(seen.name);
      to.name = take_name(reader);
    } else if (reader.key() == "payload") {
      reader.once(seen.payload);
      to.payload = reader.string();
    }
  }
  if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
  if (!seen.id) return fail(ErrorCode::kBadData, "no action_id");
  if (!seen.name) return fail(ErrorCode::kBadData, "no name");
  return seen;
}

// Appends a text behind what stands before it: brackets and commas, and its key.
void append_text(std::string& out, std::string_view before, std::string_view text) {
  out.append(before);
  json::append_string(out, text);
}

void append_members(std::string& out, const ActionResponse& response) {
  out.append("\"sequence\":");
  json::append_integer(out, response.sequence);
  out.append(",\"timestamp\":");
  json::append_integer(out, response.timestamp_ms);
  append_text(out, ",\"action_id\":", response.action_id);
  append_text(out, ",\"state\":", response.state);
  out.append(",\"progress\":");
  json::append_integer(out, response.progress);
  out.append(",\"errors\":[");
  for (const std::string& error : response.errors) {
    append_text(out, &error == response.errors.data() ? "" : ",", error);
  }
  out.append("]}");
}

}  // namespace

Result<Action> parse_action(json::Reader& reader, std::string_view text) {
  if (auto checked = check_size(text, kMaxActionBytes); !checked) return fail(std::move(checked));
  Action action;
  const auto seen = walk_action(reader, text, action);
  if (!seen) return tl::make_unexpected(seen.error());
  if (!seen->payload) return fail(ErrorCode::kBadData, "no payload");
  return action;
}

void append_action_line(std::string& out, const Action& action) {
  append_text(out, "{\"action_id\":", action.id);
  append_text(out, ",\"name\":", action.name);
  append_text(out, ",\"payload\":", action.payload);
  out.append("}\n");
}

Result<CancelRequest> parse_cancel_request(json::Reader& reader, std::string_view payload) {
  if (auto checked = check_size(payload, kMaxActionBytes); !checked) return fail(std::move(checked));
  Action target;
  if (auto seen = walk_action(reader, payload, target); !seen) return fail(std::move(seen));
  return CancelRequest{std::move(target.id), std::move(target.name)};
}

Result<ActionResponse> parse_response(json::Reader& reader, std::string_view line) {
  if (auto checked = check_size(line, kMaxLineBytes); !checked) return fail(std::move(checked));
  ActionResponse response;
  bool has_stream = false;
  bool has_id = false;
  bool has_state = false;
  bool has_progress = false;
  bool has_errors = false;
  bool has_sequence = false;
  bool has_timestamp = false;
  reader.open(line, 0, kMaxLineDepth);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "stream") {
      reader.once(has_stream);
      if (reader.string() != kResponseStream) reader.refuse(fmt::format("must be {}", kResponseStream));
    } else if (key == "action_id" || key == "id") {
      reader.once(has_id);
      response.action_id = take_name(reader);
    } else if (key == "state") {
      reader.once(has_state);
      response.state = reader.string();
    } else if (key == "progress") {
      reader.once(has_progress);
      response.progress = static_cast<std::uint8_t>(reader.unsigned_integer(UINT8_MAX));
    } else if (key == "errors") {
      reader.once(has_errors);
      reader.enter_array();
      while (reader.next_element()) response.errors.emplace_back(reader.string());
    } else if (key == "sequence") {
      reader.once(has_sequence);
      response.sequence = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
    } else if (key == "timestamp") {
      reader.once(has_timestamp);
      response.timestamp_ms = reader.unsigned_integer();
    }
  }
  if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
  if (!has_stream) return fail(ErrorCode::kBadData, "no stream");
  if (!has_id) return fail(ErrorCode::kBadData, "no action_id");
  if (!has_state) return fail(ErrorCode::kBadData, "no state");
  if (!has_progress) return fail(ErrorCode::kBadData, "no progress");
  if (!has_errors) return fail(ErrorCode::kBadData, "no errors");
  if (!has_sequence) return fail(ErrorCode::kBadData, "no sequence");
  if (!has_timestamp) return fail(ErrorCode::kBadData, "no timestamp");
  return response;
}

void append_response_line(std::string& out, const ActionResponse& response) {
  out.append("{\"stream\":\"action_status\",");
  append_members(out, response);
  out.push_back('\n');
}

void append_response_point(std::string& out, const ActionResponse& response) {
  out.push_back('{');
  append_members(out, response);
}

}  // namespace fieldpipe::uplink
