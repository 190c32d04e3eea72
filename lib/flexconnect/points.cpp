// SPDX-License-Identifier: MIT
#include "flexconnect/points.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::flexconnect {
namespace {

// Walks the names and values of `{"n": v, ...}` or `[["n", v], ...]`; `take` gets each name and takes the value.
template <typename Take>
void read_pairs(json::Reader& reader, Take take) {
  if (reader.type() == json::Type::kObject) {
    reader.enter_object();
    while (reader.next_member()) take(std::string(reader.key()));
    return;
  }
  if (reader.type() != json::Type::kArray) {
    reader.refuse(fmt::format("must be an object or an array of pairs, is {}", json::print_type(reader.type())));
  }
  reader.enter_array();
  while (reader.next_element()) {
    std::size_t size = 0;
    std::string name;
    reader.enter_array();
    while (reader.next_element()) {
      if (size == 0) name = reader.string();
      if (size == 1) take(std::move(name));
      ++size;
    }
    if (size != 2) reader.refuse(fmt::format("must be a pair of name and value, has {} elements", size));
  }
}

Tags read_tags(json::Reader& reader) {
  Tags tags;
  read_pairs(reader, [&](std::string name) { tags.emplace_back(std::move(name), reader.string()); });
  return tags;
}

// Appends pairs as an object, or as an array of arrays when a name repeats; `name_of` gives a name, `append_value`
// writes a value.
template <typename Pairs, typename NameOf, typename AppendValue>
void append_pairs(std::string& out, const Pairs& pairs, NameOf name_of, AppendValue append_value) {
  std::vector<std::string_view> names;
  names.reserve(pairs.size());
  for (const auto& pair : pairs) names.emplace_back(name_of(pair));
  std::ranges::sort(names);
  const bool repeats = std::ranges::adjacent_find(names) != names.end();
  out.push_back(repeats ? '[' : '{');
  bool first = true;
  for (const auto& pair : pairs) {
    if (!std::exchange(first, false)) out.push_back(',');
    if (repeats) out.push_back('[');
    json::append_string(out, name_of(pair));
    out.push_back(repeats ? ',' : ':');
    append_value(pair);
    if (repeats) out.push_back(']');
  }
  out.push_back(repeats ? ']' : '}');
}

void append_tags(std::string& out, const Tags& tags) {
  append_pairs(
      out, tags, [](const auto& tag) -> const std::string& { return tag.first; },
      [&](const auto& tag) { json::append_string(out, tag.second); });
}

}  // namespace

std::string_view read_field_value(json::Reader& reader) {
  const json::Type type = reader.type();
  if (type != json::Type::kString && type != json::Type::kNumber) {
    reader.refuse(fmt::format("must be a string or a number, is {}", json::print_type(type)));
  }
  return reader.text();
}

std::int64_t read_timestamp(json::Reader& reader) {
  const std::int64_t time_ms = reader.integer();
  if (time_ms < 0) reader.refuse(fmt::format("{} is before 1970", time_ms));
  return time_ms;
}

Result<void> parse_point(json::Reader& reader, std::string_view line, Point& out) {
  enum { kTimestamp, kDeviceId, kMessageTags, kTags, kFields, kToken, kKeys };
  std::array<bool, kKeys> seen{};
  out.device_id.reset();
  out.message_tags.reset();
  out.tags.reset();
  out.fields.clear();
  reader.open(line);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "timestamp") {
      reader.once(seen[kTimestamp]);
      out.time_ms = read_timestamp(reader);
    } else if (key == "fields") {
      reader.once(seen[kFields]);
      read_pairs(reader, [&](std::string name) {
        out.fields.push_back({std::move(name), std::string(read_field_value(reader))});
      });
    } else if (key == "tags") {
      reader.once(seen[kTags]);
      out.tags = read_tags(reader);
    } else if (key == "message_tags") {
      reader.once(seen[kMessageTags]);
      out.message_tags = read_tags(reader);
    } else if (key == "device_id") {
      reader.once(seen[kDeviceId]);
      out.device_id = reader.string();
    } else if (key == "token") {
      reader.once(seen[kToken]);
      reader.string();
    } else {
      reader.refuse("no key of a point (timestamp, device_id, message_tags, tags, fields)");
    }
  }
  if (auto walked = reader.finish(); !walked) return walked;
  if (!seen[kTimestamp]) return fail(ErrorCode::kBadData, "point without a timestamp");
  if (!seen[kFields]) return fail(ErrorCode::kBadData, "point without fields");
  return {};
}

void append_point(std::string& out, const Point& point, std::optional<std::string_view> token) {
  out.append("{\"timestamp\":");
  json::append_integer(out, point.time_ms);
  if (point.device_id) {
    out.append(",\"device_id\":");
    json::append_string(out, *point.device_id);
  }
  if (token) {
    out.append(",\"token\":");
    json::append_string(out, *token);
  }
  if (point.message_tags) {
    out.append(",\"message_tags\":");
    append_tags(out, *point.message_tags);
  }
  if (point.tags) {
    out.append(",\"tags\":");
    append_tags(out, *point.tags);
  }
  out.append(",\"fields\":");
  append_pairs(
      out, point.fields, [](const Field& field) -> const std::string& { return field.name; },
      [&](const Field& field) { out.append(field.value); });
  out.push_back('}');
}

}  // namespace fieldpipe::flexconnect
