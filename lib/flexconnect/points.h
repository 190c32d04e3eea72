// SPDX-License-Identifier: MIT
// A FlexConnect point as a value, and the NDJSON form of it that goes through pipes, for data that never was CAN.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::flexconnect {

// Keys and values in their order; a key may repeat.
using Tags = std::vector<std::pair<std::string, std::string>>;

struct Field {
  std::string name;
  std::string value;  // a JSON string or number as it was written: "\"on\"", "45.0", "1e-09"

  bool operator==(const Field&) const = default;
};

struct Point {
  std::int64_t time_ms = 0;              // since 1970, not negative
  std::optional<std::string> device_id;  // of the message it belongs to; not set: the default of its writer
  std::optional<Tags> message_tags;      // likewise
  std::optional<Tags> tags;              // its own; likewise
  std::vector<Field> fields;

  bool operator==(const Point&) const = default;
};

// Parses one line into `out`, whose memory is reused:
//
//   line  = {"timestamp": ms, "device_id": string, "message_tags": tags, "tags": tags, "fields": fields}
//   tags  = {"k": "v", ...} or, where keys repeat, [["k", "v"], ["k", "w"], ...]
//   fields = the same with strings or numbers for values
//
//   {"timestamp":1622547800000,"fields":{"temperature":22.5,"state":"on"}}
//   {"timestamp":1622547800000,"tags":{"room":"1"},"fields":[["a",1],["a",2]]}
//
// `timestamp`, an integer, and `fields` are needed. Keys may stand in any order, once each; other keys are refused,
// because a misspelt one would lose data in silence. Only `token` is passed over: printing may add it, and what comes
// back from there must be taken. Fails with kBadData; `out` then holds anything.
Result<void> parse_point(json::Reader& reader, std::string_view line, Point& out);

// Appends the line of a point, without a line end, in the order above. What is not set is left out; tags and fields are
// objects unless a name repeats. parse_point() gives the same point back. `token` is added where there is one.
void append_point(std::string& out, const Point& point, std::optional<std::string_view> token = std::nullopt);

// Takes the value of a field: the text of a string or number, all else is refused.
std::string_view read_field_value(json::Reader& reader);

// Takes a timestamp in ms: an integer from 0 on.
std::int64_t read_timestamp(json::Reader& reader);

}  // namespace fieldpipe::flexconnect
