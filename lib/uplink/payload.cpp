// SPDX-License-Identifier: MIT
#include "uplink/payload.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::uplink {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

void take_column(json::Reader& reader, std::vector<Column>& columns) {
  const std::string_view key = reader.key();
  const auto known = std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.key == key; });
  const std::string_view value = reader.text();
  if (known != columns.end()) {
    known->value = value;
  } else {
    columns.push_back({key, value});
  }
}

void append_members(std::string& out, const Payload& payload) {
  out.append("\"sequence\":");
  json::append_integer(out, payload.sequence);
  out.append(",\"timestamp\":");
  json::append_integer(out, payload.timestamp_ms);
  for (const Column& column : payload.columns) {
    out.push_back(',');
    json::append_string(out, column.key);
    out.push_back(':');
    out.append(column.value);
  }
  out.push_back('}');
}

}  // namespace

Result<void> check_stream_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::kBadData, "stream name is empty");
  if (name.size() > kMaxStreamNameBytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("stream name of {} bytes, more than the limit of {}", name.size(), kMaxStreamNameBytes));
  }
  const auto bad =
      std::find_if(name.begin(), name.end(), [](char c) { return c == '/' || c == '+' || c == '#' || is_control(c); });
  if (bad != name.end()) {
    return fail(ErrorCode::kBadData,
                fmt::format("stream name '{}' holds {}", printable(name, 40),
                            is_control(*bad) ? std::string("a control character") : fmt::format("'{}'", *bad)));
  }
  return {};
}

Result<Given> parse_incomplete_payload(json::Reader& reader, std::string_view line, Payload& to,
                                       std::size_t readable_bytes) {
  if (line.size() > kMaxLineBytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("{} bytes, more than the limit of {}", line.size(), print_size(kMaxLineBytes)));
  }
  Given given;
  std::size_t keys = 0;
  to.columns.clear();
  reader.open(line, readable_bytes, kMaxLineDepth);
  reader.enter_object();
  while (reader.next_member()) {
    if (++keys > kMaxLineKeys) {
      reader.refuse(fmt::format("more than {} keys", kMaxLineKeys));
    } else if (reader.key() == "stream") {
      reader.once(given.stream);
      to.stream = reader.string();
    } else if (reader.key() == "sequence") {
      reader.once(given.sequence);
      to.sequence = static_cast<std::uint32_t>(reader.unsigned_integer(UINT32_MAX));
    } else if (reader.key() == "timestamp") {
      reader.once(given.timestamp);
      to.timestamp_ms = reader.unsigned_integer();
    } else {
      take_column(reader, to.columns);
    }
  }
  if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
  if (given.stream) {
    if (auto checked = check_stream_name(to.stream); !checked) return fail(std::move(checked));
  }
  return given;
}

Result<void> parse_payload(json::Reader& reader, std::string_view line, Payload& to, std::size_t readable_bytes) {
  const auto given = parse_incomplete_payload(reader, line, to, readable_bytes);
  if (!given) return tl::make_unexpected(given.error());
  if (!given->stream) return fail(ErrorCode::kBadData, "no stream");
  if (!given->sequence) return fail(ErrorCode::kBadData, "no sequence");
  if (!given->timestamp) return fail(ErrorCode::kBadData, "no timestamp");
  return {};
}

void append_line(std::string& out, const Payload& payload) {
  out.append("{\"stream\":");
  json::append_string(out, payload.stream);
  out.push_back(',');
  append_members(out, payload);
  out.push_back('\n');
}

void append_point(std::string& out, const Payload& payload) {
  out.push_back('{');
  append_members(out, payload);
}

}  // namespace fieldpipe::uplink
