// SPDX-License-Identifier: MIT
#include "record/envelope.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::record {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMaxMqttTextBytes = 65'535;
constexpr std::uint32_t kMaxSubscriptionIdentifier = 268'435'455;  // a variable byte integer of four bytes
constexpr int kNanosecondDigits = 9;

// Nanoseconds of a JSON number of seconds without an exponent, further digits cut; nothing when it does not fit.
std::optional<nanoseconds> parse_seconds(std::string_view number) {
  const bool negative = number.starts_with('-');
  if (negative) number.remove_prefix(1);
  const std::size_t point = number.find('.');
  std::string digits(number.substr(0, point));
  const std::string_view fraction = point == std::string_view::npos ? "" : number.substr(point + 1);
  // As one integer of nanoseconds, parse_integer() sees letters and overflow alike.
  if (fraction.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  digits.insert(0, negative ? "-" : "").append(fraction.substr(0, kNanosecondDigits));
  digits.append(kNanosecondDigits - std::min<std::size_t>(fraction.size(), kNanosecondDigits), '0');
  const auto value = parse_integer<std::int64_t>(digits);
  return value ? std::optional(nanoseconds(*value)) : std::nullopt;
}

// A string that goes into an MQTT packet as it is.
std::string checked(json::Reader& reader, std::string_view text) {
  if (text.size() > kMaxMqttTextBytes) {
    reader.refuse(fmt::format("text of {} bytes, MQTT carries at most {}", text.size(), kMaxMqttTextBytes));
  } else if (text.find('\0') != std::string_view::npos) {
    reader.refuse("text holds U+0000, which MQTT does not allow");
  }
  return std::string(text);
}

std::string read_text(json::Reader& reader) { return checked(reader, reader.string()); }

std::string read_base64(json::Reader& reader) {
  std::string bytes;
  if (const auto decoded = decode_base64(reader.string(), bytes); !decoded) reader.refuse(decoded.error().what);
  return bytes;
}

template <std::unsigned_integral T>
T read_number(json::Reader& reader, T most) {
  const std::int64_t value = reader.integer();
  if (reader.ok() && (value < 0 || value > static_cast<std::int64_t>(most))) {
    reader.refuse(fmt::format("{} is not in 0 to {}", value, most));
  }
  return static_cast<T>(value);
}

void read_user_properties(json::Reader& reader, Properties& properties) {
  reader.enter_array();
  while (reader.next_element()) {
    reader.enter_object();
    std::size_t pairs = 0;
    while (reader.next_member()) {
      std::string name = checked(reader, reader.key());
      if (++pairs > 1) reader.refuse("a user property must be an object of one pair");
      properties.user_properties.emplace_back(std::move(name), read_text(reader));
    }
    if (pairs == 0) reader.refuse("a user property must be an object of one pair");
  }
}

void read_properties(json::Reader& reader, Properties& properties) {
  enum { kFormat, kExpiry, kContentType, kResponseTopic, kCorrelation, kSubscriptions, kUser, kKeys };
  std::array<bool, kKeys> seen{};
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "payload_format_indicator") {
      reader.once(seen[kFormat]);
      properties.payload_format_indicator = read_number(reader, std::uint8_t{1});
    } else if (key == "message_expiry_interval") {
      reader.once(seen[kExpiry]);
      properties.message_expiry_interval = read_number(reader, std::numeric_limits<std::uint32_t>::max());
    } else if (key == "content_type") {
      reader.once(seen[kContentType]);
      properties.content_type = read_text(reader);
    } else if (key == "response_topic") {
      reader.once(seen[kResponseTopic]);
      properties.response_topic = read_text(reader);
    } else if (key == "correlation_data_b64") {
      reader.once(seen[kCorrelation]);
      properties.correlation_data = read_base64(reader);
    } else if (key == "subscription_identifiers") {
      reader.once(seen[kSubscriptions]);
      reader.enter_array();
      while (reader.next_element()) {
        properties.subscription_identifiers.push_back(read_number(reader, kMaxSubscriptionIdentifier));
      }
    } else if (key == "user_properties") {
      reader.once(seen[kUser]);
      read_user_properties(reader, properties);
    }
  }
}

void append_properties(std::string& out, const Properties& properties) {
  const std::size_t start = out.size();
  const auto name = [&](std::string_view key) {
    out.append(out.size() == start ? "{\"" : ",\"").append(key).append("\":");
  };
  if (properties.payload_format_indicator) {
    name("payload_format_indicator");
    json::append_integer(out, *properties.payload_format_indicator);
  }
  if (properties.message_expiry_interval) {
    name("message_expiry_interval");
    json::append_integer(out, *properties.message_expiry_interval);
  }
  if (properties.content_type) {
    name("content_type");
    json::append_string(out, *properties.content_type);
  }
  if (properties.response_topic) {
    name("response_topic");
    json::append_string(out, *properties.response_topic);
  }
  if (properties.correlation_data) {
    name("correlation_data_b64");
    out.push_back('"');
    append_base64(out, as_bytes(*properties.correlation_data));
    out.push_back('"');
  }
  if (!properties.subscription_identifiers.empty()) {
    name("subscription_identifiers");
    char before = '[';
    for (const std::uint32_t identifier : properties.subscription_identifiers) {
      out.push_back(std::exchange(before, ','));
      json::append_integer(out, identifier);
    }
    out.push_back(']');
  }
  if (!properties.user_properties.empty()) {
    name("user_properties");
    char before = '[';
    for (const auto& [key, value] : properties.user_properties) {
      out.push_back(std::exchange(before, ','));
      out.push_back('{');
      json::append_string(out, key);
      out.push_back(':');
      json::append_string(out, value);
      out.push_back('}');
    }
    out.push_back(']');
  }
  out.push_back('}');
}

}  // namespace

Result<Envelope> parse_envelope(json::Reader& reader, std::string_view line) {
  enum { kTopic, kPayload, kQos, kRetain, kTime, kProperties, kKeys };
  std::array<bool, kKeys> seen{};
  Envelope envelope;
  const auto once_payload = [&] {
    if (seen[kPayload]) reader.refuse("only one of json, payload and payload_b64 may stand in an envelope");
    seen[kPayload] = true;
  };
  reader.open(line);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "topic") {
      reader.once(seen[kTopic]);
      envelope.topic = read_text(reader);
    } else if (key == "json") {
      once_payload();
      envelope.payload = reader.text();
    } else if (key == "payload") {
      once_payload();
      envelope.payload = reader.string();
    } else if (key == "payload_b64") {
      once_payload();
      envelope.payload = read_base64(reader);
    } else if (key == "qos") {
      reader.once(seen[kQos]);
      envelope.qos = read_number(reader, std::uint8_t{2});
    } else if (key == "retain") {
      reader.once(seen[kRetain]);
      envelope.retain = reader.boolean();
    } else if (key == "time") {
      reader.once(seen[kTime]);
      if (reader.type() != json::Type::kNumber) {
        reader.refuse(fmt::format("must be a number, is {}", json::print_type(reader.type())));
      }
      const std::string_view number = reader.text();
      const auto time = parse_seconds(number);
      if (!time) reader.refuse(fmt::format("must be decimal seconds since 1970, is {}", printable(number, 40)));
      envelope.time = WallTime(time.value_or(nanoseconds{}));
    } else if (key == "properties") {
      reader.once(seen[kProperties]);
      read_properties(reader, envelope.properties);
    }
  }
  if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
  if (!seen[kTopic]) return fail(ErrorCode::kBadData, "envelope without a topic");
  if (!seen[kPayload]) return fail(ErrorCode::kBadData, "envelope without json, payload or payload_b64");
  return envelope;
}

void append_envelope(json::Reader& reader, std::string& out, const Envelope& envelope) {
  out.append("{\"topic\":");
  json::append_string(out, envelope.topic);
  const std::string& payload = envelope.payload;
  // The object around it is one level of depth.
  if (payload.find_first_of("\r\n") == std::string::npos && reader.is_value(payload, json::kMaxDepth - 1)) {
    out.append(",\"json\":").append(payload);
  } else if (!find_invalid_utf8(payload)) {
    out.append(",\"payload\":");
    json::append_string(out, payload);
  } else {
    out.append(",\"payload_b64\":\"");
    append_base64(out, as_bytes(payload));
    out.push_back('"');
  }
  if (envelope.qos) {
    out.append(",\"qos\":");
    json::append_integer(out, *envelope.qos);
  }
  if (envelope.retain) {
    out.append(",\"retain\":");
    json::append_bool(out, *envelope.retain);
  }
  if (envelope.time) {
    out.append(",\"time\":");
    json::append_seconds(out, envelope.time->time_since_epoch());
  }
  if (envelope.properties != Properties{}) {
    out.append(",\"properties\":");
    append_properties(out, envelope.properties);
  }
  out.push_back('}');
}

}  // namespace fieldpipe::record
