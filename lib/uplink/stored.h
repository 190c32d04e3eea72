// SPDX-License-Identifier: MIT
// How an application learns that its lines are on the service's disk. Uplink has nothing of the kind; these two lines
// are fieldpipe's own, and only uplink-serve answers them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/text.h"
#include "json/writer.h"
#include "uplink/payload.h"

namespace fieldpipe::uplink {

// The stream of checkpoints: a line `{"stream":"fieldpipe_stored","sequence":N,"timestamp":T}` asks for the answer
// `{"stored":N}` as soon as all lines before it on the connection survive a loss of power. It is no data.
inline constexpr std::string_view kStoredStream = "fieldpipe_stored";

// Appends a checkpoint line with its LF.
inline void append_checkpoint(std::string& out, std::uint32_t number, std::uint64_t timestamp_ms) {
  append_line(out, {kStoredStream, number, timestamp_ms, {}});
}

// Appends the answer to a checkpoint as a line with its LF.
inline void append_stored(std::string& out, std::uint32_t number) {
  out.append("{\"stored\":");
  json::append_integer(out, number);
  out.append("}\n");
}

// The number in the answer to a checkpoint; nothing when `line` is another line. Only this exact text is the answer.
inline std::optional<std::uint32_t> parse_stored(std::string_view line) {
  constexpr std::string_view kBefore = "{\"stored\":";
  if (!line.starts_with(kBefore) || !line.ends_with('}')) return std::nullopt;
  line.remove_prefix(kBefore.size());
  line.remove_suffix(1);
  return parse_integer<std::uint32_t>(line);
}

}  // namespace fieldpipe::uplink
