// SPDX-License-Identifier: MIT
#include "memfault/event_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cbor/codec.h"
#include "cbor/json.h"
#include "core/bytes.h"
#include "json/writer.h"
#include "memfault/reboot_reason.h"

namespace fieldpipe::memfault {
namespace {

using cbor::Value;

// How the value of a field is shown.
enum class Shown : std::uint8_t {
  kAsIs,
  kAddress,  // a number as 0x08012345
  kFlag,     // a number as true or false
  kText,     // bytes that are a text
  kHex,      // bytes as digits
  kSize,     // the number of bytes only
  kReason,   // a reboot reason, and a member with its name
};

// A field of a map whose keys are numbers.
struct Field {
  std::uint64_t key;
  std::string_view name;
  Shown shown = Shown::kAsIs;
};

constexpr std::uint64_t kTypeKey = 2;
constexpr std::uint64_t kInfoKey = 4;
constexpr std::uint64_t kReasonKey = 1;  // of the info of a trace: it is a reboot

constexpr Field kEventFields[] = {{1, "captured_time"},    {3, "cbor_schema_version"}, {5, "user_info"},
                                  {6, "hardware_version"}, {7, "device_serial"},       {8, "release_version"},
                                  {9, "software_version"}, {10, "software_type"},      {11, "build_id", Shown::kHex}};
constexpr Field kHeartbeatFields[] = {{1, "metrics"}, {2, "session_index"}};
constexpr Field kTraceFields[] = {{kReasonKey, "reason", Shown::kReason},
                                  {2, "pc", Shown::kAddress},
                                  {3, "lr", Shown::kAddress},
                                  {4, "mcu_reason_register", Shown::kAddress},
                                  {5, "coredump_saved", Shown::kFlag},
                                  {6, "user_reason"},
                                  {7, "status_code"},
                                  {8, "log", Shown::kText},
                                  {9, "compact_log"}};
constexpr Field kRecordingFields[] = {
    {1, "duration_ms"}, {2, "mimetypes"}, {3, "reason"}, {4, "data_bytes", Shown::kSize}};

// The kinds of events, and how many values a line of a log has.
struct Kind {
  std::uint64_t number;
  std::string_view name;
  std::span<const Field> fields;
  std::size_t log_values = 0;
};
constexpr Kind kKinds[] = {
    {1, "heartbeat", kHeartbeatFields}, {2, "trace", kTraceFields}, {3, "log_error", {}}, {4, "logs", {}, 2},
    {5, "recording", kRecordingFields}, {6, "logs", {}, 3}};

constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};

// The members of a JSON object, one after another.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}

  std::string& add(std::string_view name) {
    out_.push_back(std::exchange(before_, ','));
    json::append_string(out_, name);
    out_.push_back(':');
    return out_;
  }

  void end() { out_.append(before_ == '{' ? "{}" : "}"); }

 private:
  std::string& out_;
  char before_ = '{';
};

void append_address(std::string& out, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), "\"{:#010x}\"", number);
}

// A value of another type than its field has is shown as it is.
void append_field(Members& members, const Field& field, const Value& value) {
  std::string& out = members.add(field.name);
  const auto number = value.unsigned_integer();
  const std::string* const bytes = value.bytes();
  if (field.shown == Shown::kAddress && number) return append_address(out, *number);
  if (field.shown == Shown::kFlag && number && *number <= 1) return json::append_bool(out, *number == 1);
  if (field.shown == Shown::kText && bytes != nullptr) return json::append_string(out, *bytes);
  if (field.shown == Shown::kSize && bytes != nullptr) return json::append_integer(out, bytes->size());
  if (field.shown == Shown::kHex && bytes != nullptr) {
    out.push_back('"');
    append_hex(out, as_bytes(*bytes));
    out.push_back('"');
    return;
  }
  cbor::append_json(out, value);
  if (field.shown != Shown::kReason || !number) return;
  if (const auto name = print_reboot_reason(*number); !name.empty())
    json::append_string(members.add("reason_name"), name);
}

// Those members of a map that have a name in `fields`; others under their number.
void append_member(Members& members, std::span<const Field> fields, const Value& key, const Value& value) {
  const auto* const field = std::find_if(fields.data(), fields.data() + fields.size(),
                                         [&](const Field& each) { return key.unsigned_integer() == each.key; });
  if (field != fields.data() + fields.size()) return append_field(members, *field, value);
  std::string name;
  if (key.text() != nullptr)
    name = *key.text();
  else
    cbor::append_json(name, key);
  cbor::append_json(members.add(name), value);
}

void append_log_line(std::string& out, std::span<const Value> values) {
  Members members(out);
  if (values.size() > 2) cbor::append_json(members.add("timestamp"), values[0]);
  const Value& level = values[values.size() - 2];
  const auto number = level.unsigned_integer();
  if (number && *number < std::size(kLevels))
    json::append_string(members.add("level"), kLevels[*number]);
  else
    cbor::append_json(members.add("level"), level);
  const Value& text = values.back();
  // A line whose format string is in the symbol file: its offset there, and the arguments.
  const auto compact = text.bytes() != nullptr ? cbor::decode(as_bytes(*text.bytes())) : Result<Value>(text);
  cbor::append_json(members.add(text.text() != nullptr ? "text" : "compact"), compact ? *compact : text);
  members.end();
}

// The lines of a log are one array of their values; a rest that is no line is shown as it is.
void append_log(std::string& out, std::span<const Value> values, std::size_t line_values) {
  char before = '[';
  for (; values.size() >= line_values; values = values.subspan(line_values)) {
    out.push_back(std::exchange(before, ','));
    append_log_line(out, values.first(line_values));
  }
  for (const Value& value : values) {
    out.push_back(std::exchange(before, ','));
    cbor::append_json(out, value);
  }
  out.append(before == '[' ? "[]" : "]");
}

void append_info(Members& members, const Kind* kind, const Value& info) {
  if (kind != nullptr && kind->log_values > 0 && info.array() != nullptr)
    return append_log(members.add("logs"), *info.array(), kind->log_values);
  if (kind == nullptr || info.map() == nullptr) return cbor::append_json(members.add("event_info"), info);
  Members inner(members.add("event_info"));
  for (const auto& [key, value] : *info.map()) append_member(inner, kind->fields, key, value);
  inner.end();
}

void append_event(std::string& out, const Value& event) {
  if (event.map() == nullptr) return cbor::append_json(out, event);
  const Value* const type = event.find(kTypeKey);
  const Value* const info = event.find(kInfoKey);
  const auto number = type != nullptr ? type->unsigned_integer() : std::nullopt;
  const auto* const found = std::ranges::find_if(kKinds, [&](const Kind& each) { return number == each.number; });
  const Kind* const kind = found != std::end(kKinds) ? found : nullptr;
  const bool is_reboot =
      kind != nullptr && kind->name == "trace" && info != nullptr && info->find(kReasonKey) != nullptr;
  Members members(out);
  for (const auto& [key, value] : *event.map()) {
    if (&value == type && kind != nullptr)
      json::append_string(members.add("type"), is_reboot ? "reboot" : kind->name);
    else if (&value == type)
      cbor::append_json(members.add("type"), value);
    else if (&value == info)
      append_info(members, kind, value);
    else
      append_member(members, kEventFields, key, value);
  }
  members.end();
}

}  // namespace

void append_events(std::string& out, const Value& payload) {
  if (payload.array() == nullptr) {
    out.push_back('[');
    append_event(out, payload);
    out.push_back(']');
    return;
  }
  char before = '[';
  for (const Value& event : *payload.array()) {
    out.push_back(std::exchange(before, ','));
    append_event(out, event);
  }
  out.append(before == '[' ? "[]" : "]");
}

}  // namespace fieldpipe::memfault
