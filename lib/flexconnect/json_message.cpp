// SPDX-License-Identifier: MIT
#include "flexconnect/json_message.h"

#include <utility>

#include <fmt/format.h>

#include "flexconnect/binary.h"
#include "json/writer.h"

namespace fieldpipe::flexconnect {
namespace {

// What closes the fields and the point, and the points and the message.
constexpr std::string_view kPointEnd = "]}";
constexpr std::string_view kEnd = "]}";

constexpr std::string_view kTimestampKey = "{\"timestamp\":";
constexpr std::string_view kTagsKey = ",\"tags\":";
constexpr std::string_view kFieldsKey = ",\"fields\":[";
constexpr std::string_view kNameKey = "{\"name\":";
constexpr std::string_view kValueKey = ",\"value\":";

constexpr std::size_t kStandardDigits = 3;
constexpr std::size_t kExtendedDigits = 8;

std::string print_string(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

void append_tags(std::string& out, const Tags& tags) {
  out.push_back('[');
  for (bool first = true; const auto& [key, value] : tags) {
    if (!std::exchange(first, false)) out.push_back(',');
    out.push_back('{');
    json::append_string(out, key);
    out.push_back(':');
    json::append_string(out, value);
    out.push_back('}');
  }
  out.push_back(']');
}

std::string print_tags(const Tags& tags) {
  std::string out;
  append_tags(out, tags);
  return out;
}

std::string print_head(std::string_view device_id, std::string_view token, std::string_view tags) {
  return fmt::format("{{\"device_id\":{},\"token\":{},\"tags\":{},\"points\":[", device_id, token, tags);
}

// Appends a point up to its first field.
void append_point_head(std::string& out, std::int64_t time_ms, std::string_view tags) {
  out.append(kTimestampKey);
  json::append_integer(out, time_ms);
  out.append(kTagsKey).append(tags).append(kFieldsKey);
}

std::size_t point_head_bytes(std::int64_t time_ms, std::string_view tags) {
  return kTimestampKey.size() + fmt::format_int(time_ms).size() + kTagsKey.size() + tags.size() + kFieldsKey.size();
}

std::size_t id_digits(const can::Frame& frame) { return frame.extended ? kExtendedDigits : kStandardDigits; }

void append_frame_field(std::string& out, unsigned bus, const can::Frame& frame) {
  out.append(kNameKey).append("\"can");
  json::append_integer(out, bus);
  out.push_back('.');
  for (std::size_t digit = id_digits(frame); digit-- > 0;) out.push_back(kUpperHex[frame.id >> 4 * digit & 15U]);
  out.append("\"").append(kValueKey).append("\"");
  append_hex(out, frame.payload(), kUpperHex);
  out.append("\"}");
}

std::size_t frame_field_bytes(const can::Frame& frame) {
  constexpr std::size_t kFixed = kNameKey.size() + kValueKey.size() + std::string_view("\"can0.\"\"\"}").size();
  return kFixed + id_digits(frame) + 2 * std::size_t{frame.length_bytes};
}

std::uint64_t name_of(unsigned bus, const can::Frame& frame) {
  return std::uint64_t{bus} << 32U | frame.id | (frame.extended ? kExtendedBit : 0);
}

// Takes `[{"k": "v"}, ...]`.
Tags read_tags(json::Reader& reader) {
  Tags tags;
  reader.enter_array();
  while (reader.next_element()) {
    std::size_t pairs = 0;
    reader.enter_object();
    while (reader.next_member()) {
      std::string key(reader.key());
      tags.emplace_back(std::move(key), reader.string());
      ++pairs;
    }
    if (pairs != 1) reader.refuse(fmt::format("tags must be objects of one pair, one has {}", pairs));
  }
  return tags;
}

}  // namespace

JsonEncoder::JsonEncoder(const JsonDefaults& defaults)
    : token_(print_string(defaults.token)),
      device_id_(print_string(defaults.device_id)),
      tags_(print_tags(defaults.tags)),
      point_tags_(print_tags(defaults.point_tags)),
      default_head_(print_head(device_id_, token_, tags_)) {}

void JsonEncoder::render(const Point& point, PointText& out) const {
  out.head.clear();
  out.text.clear();
  if (point.device_id || point.message_tags) {
    out.head = print_head(point.device_id ? print_string(*point.device_id) : device_id_, token_,
                          point.message_tags ? print_tags(*point.message_tags) : tags_);
  }
  append_point_head(out.text, point.time_ms, point.tags ? print_tags(*point.tags) : point_tags_);
  for (bool first = true; const Field& field : point.fields) {
    if (!std::exchange(first, false)) out.text.push_back(',');
    out.text.append(kNameKey);
    json::append_string(out.text, field.name);
    out.text.append(kValueKey).append(field.value).push_back('}');
  }
  out.text.append(kPointEnd);
}

std::size_t JsonEncoder::size_with_point(const std::string& head, std::size_t point_bytes) const {
  return point_bytes + (empty() ? head.size() + kEnd.size() : text_.size() + 1);
}

void JsonEncoder::begin_point(const std::string& head) {
  if (empty()) {
    head_ = head;
    text_ = head;
  } else {
    text_.resize(text_.size() - kEnd.size());
    text_.push_back(',');
  }
}

std::size_t JsonEncoder::size_with(std::int64_t, const PointText& point) const {
  return size_with_point(head_of(point), point.text.size());
}

void JsonEncoder::add(std::int64_t, const PointText& point) {
  begin_point(head_of(point));
  text_.append(point.text).append(kEnd);
  frames_ = false;
}

bool JsonEncoder::continues_point(std::int64_t time_ms, std::uint64_t name) const {
  if (!frames_ || time_ms != time_ms_) return false;
  const auto last = point_of_name_.find(name);
  return last == point_of_name_.end() || last->second != point_;
}

std::size_t JsonEncoder::size_with(std::int64_t time_ms, unsigned bus, const can::Frame& frame) const {
  const std::size_t field = frame_field_bytes(frame);
  if (continues_point(time_ms, name_of(bus, frame))) return text_.size() + 1 + field;
  return size_with_point(default_head_, point_head_bytes(time_ms, point_tags_) + field + kPointEnd.size());
}

void JsonEncoder::add(std::int64_t time_ms, unsigned bus, const can::Frame& frame) {
  const std::uint64_t name = name_of(bus, frame);
  if (continues_point(time_ms, name)) {
    text_.resize(text_.size() - kPointEnd.size() - kEnd.size());
    text_.push_back(',');
  } else {
    begin_point(default_head_);
    append_point_head(text_, time_ms, point_tags_);
    frames_ = true;
    time_ms_ = time_ms;
    ++point_;
  }
  point_of_name_[name] = point_;
  append_frame_field(text_, bus, frame);
  text_.append(kPointEnd).append(kEnd);
}

void JsonEncoder::clear() {
  text_.clear();
  frames_ = false;
  point_of_name_.clear();
}

// Reads the current member of the message, except the points; false when it is those.
bool JsonDecoder::read_member() {
  const std::string_view key = reader_.key();
  if (key == "device_id") {
    reader_.once(seen_[kDeviceId]);
    device_id_ = reader_.string();
  } else if (key == "token") {
    reader_.once(seen_[kToken]);
    token_ = reader_.string();
  } else if (key == "tags") {
    reader_.once(seen_[kTags]);
    tags_ = read_tags(reader_);
  } else if (key == "b64") {
    reader_.refuse("b64 must be the only key of a message");
  } else if (key == "points") {
    reader_.once(seen_[kPoints]);
    return false;
  }
  return true;
}

Result<void> JsonDecoder::open(std::string_view message) {
  seen_ = {};
  again_ = false;
  device_id_.reset();
  token_.reset();
  tags_.reset();
  reader_.open(message);
  reader_.enter_object();
  while (reader_.next_member()) {
    if (read_member()) continue;
    if (seen_[kDeviceId] && seen_[kToken] && seen_[kTags]) {
      reader_.enter_array();
      break;
    }
    // Points do not go out before what they belong to is known.
    again_ = true;
  }
  if (again_ || !seen_[kPoints] || !reader_.ok()) {
    if (auto walked = reader_.finish(); !walked) return walked;
    if (!seen_[kPoints]) return fail(ErrorCode::kBadData, "JSON message without points");
    reader_.open(message);
    reader_.enter_object();
    while (reader_.next_member() && reader_.key() != "points") continue;
    reader_.enter_array();
    if (!reader_.ok()) return reader_.finish();
  }
  return {};
}

Result<bool> JsonDecoder::next(Point& point) {
  if (reader_.next_element()) {
    read_point(point);
    if (reader_.ok()) return true;
  }
  while (!again_ && reader_.next_member()) read_member();
  if (auto walked = reader_.finish(); !walked) return fail(std::move(walked));
  return false;
}

void JsonDecoder::read_point(Point& point) {
  enum { kTimestamp, kPointTags, kFields, kPointKeys };
  std::array<bool, kPointKeys> seen{};
  point.device_id = device_id_;
  point.message_tags = tags_;
  point.tags.emplace();
  point.fields.clear();
  reader_.enter_object();
  while (reader_.next_member()) {
    const std::string_view key = reader_.key();
    if (key == "timestamp") {
      reader_.once(seen[kTimestamp]);
      point.time_ms = read_timestamp(reader_);
    } else if (key == "tags") {
      reader_.once(seen[kPointTags]);
      point.tags = read_tags(reader_);
    } else if (key == "fields") {
      reader_.once(seen[kFields]);
      reader_.enter_array();
      while (reader_.next_element()) {
        bool name_seen = false;
        bool value_seen = false;
        Field& field = point.fields.emplace_back();
        reader_.enter_object();
        while (reader_.next_member()) {
          if (reader_.key() == "name") {
            reader_.once(name_seen);
            field.name = reader_.string();
          } else if (reader_.key() == "value") {
            reader_.once(value_seen);
            field.value = read_field_value(reader_);
          }
        }
        if (!name_seen || !value_seen) reader_.refuse("field without a name or without a value");
      }
    }
  }
  if (!seen[kTimestamp] || !seen[kFields]) reader_.refuse("point without a timestamp or without fields");
}

}  // namespace fieldpipe::flexconnect
