// SPDX-License-Identifier: MIT
// The envelope record: one MQTT message as one JSON line, so that topic and properties travel with the payload.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::record {

// The properties of an MQTT 5 PUBLISH packet that mean something beyond one connection (MQTT 5.0 section 3.3.2.3; the
// topic alias does not). In the envelope they have their names in snake_case.
struct Properties {
  std::optional<std::uint8_t> payload_format_indicator;  // 0 bytes, 1 UTF-8
  std::optional<std::uint32_t> message_expiry_interval;  // seconds
  std::optional<std::string> content_type;
  std::optional<std::string> response_topic;
  std::optional<std::string> correlation_data;                       // bytes; `correlation_data_b64`
  std::vector<std::uint32_t> subscription_identifiers;               // received messages only
  std::vector<std::pair<std::string, std::string>> user_properties;  // in their order, names may repeat

  bool operator==(const Properties&) const = default;
};

// One message. What is not set was not in the record, and the tool's own default holds.
struct Envelope {
  std::string topic;
  std::string payload;  // bytes
  std::optional<std::uint8_t> qos;
  std::optional<bool> retain;
  std::optional<WallTime> time;  // when it was received or made
  Properties properties;

  bool operator==(const Envelope&) const = default;
};

// Parses one record:
//
//   {"topic":"t","json":{"value":1},"qos":1,"retain":false,"time":1700000000.123456,
//    "properties":{"content_type":"application/json","user_properties":[{"k":"v"},{"k":"w"}]}}
//
// Needed are `topic` and one of `json` (any JSON value; its text is the payload), `payload` (a string) and
// `payload_b64`. Keys that are not known are checked but ignored, because a later version may write more; a key that
// stands twice and a value of the wrong type or range are refused (kBadData) with the key's name. So are texts that
// MQTT cannot carry: above 65,535 bytes or with U+0000 (MQTT 5.0 section 1.5.4). `time` takes no exponent and is cut
// to nanoseconds. `reader` is working memory that the caller keeps from line to line.
Result<Envelope> parse_envelope(json::Reader& reader, std::string_view line);

// Appends the record of `envelope` without a line end. The payload goes out as `json` where it is one JSON value
// without white space around it and without LF and CR inside, otherwise as `payload` where it is UTF-8, otherwise as
// `payload_b64`; parse_envelope() gives the same bytes back for all three. Texts that are not UTF-8 come out with
// U+FFFD in their place.
void append_envelope(json::Reader& reader, std::string& out, const Envelope& envelope);

}  // namespace fieldpipe::record
