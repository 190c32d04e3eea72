// SPDX-License-Identifier: MIT
// Data of uplink's application port: one point of a stream is one line, a JSON object. Rules of the line from
// bytebeamio/uplink, uplink/src/base/bridge/mod.rs (Payload), at v2.18.5; the limits are ours, uplink has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::uplink {

inline constexpr std::size_t kMaxLineBytes = std::size_t{256} * 1024;  // without the LF
inline constexpr std::size_t kMaxLineDepth = 32;                       // brackets inside one another
inline constexpr std::size_t kMaxLineKeys = 1024;                      // of the outermost object
inline constexpr std::size_t kMaxStreamNameBytes = 255;

// A key that is not one of the three, without escapes, and its value as JSON text, as it was written.
struct Column {
  std::string_view key;
  std::string_view value;
};

// A point. What is parsed stays valid as long as the line and until the reader is used again.
struct Payload {
  std::string_view stream;
  std::uint32_t sequence = 0;
  std::uint64_t timestamp_ms = 0;  // since 1970 by convention; passed on whatever it is
  std::vector<Column> columns;     // each key once
};

// Which of the three keys a line had.
struct Given {
  bool stream = false;
  bool sequence = false;
  bool timestamp = false;
};

// Whether `name` can be a stream and so a level of an MQTT topic and a part of a file's name: 1 to 255 bytes, no `/`,
// `+` or `#`, no control characters. Fails with kBadData.
Result<void> check_stream_name(std::string_view name);

// Reads `line`, without its LF, into `to`. Sequence and timestamp are integers (1.0 is none) within 32 and 64 bits
// without sign; each of the three keys stands once; of another key that repeats the last value counts. Numbers are kept
// as they are written, also those that no 64 bits hold. `readable_bytes` as for json::Reader::open. Fails with
// kBadData.
Result<void> parse_payload(json::Reader& reader, std::string_view line, Payload& to, std::size_t readable_bytes = 0);

// The same where the three keys may be missing: says which were there, and leaves those that were not as they are.
Result<Given> parse_incomplete_payload(json::Reader& reader, std::string_view line, Payload& to,
                                       std::size_t readable_bytes = 0);

// Appends `payload` as a line with its LF.
void append_line(std::string& out, const Payload& payload);

// Appends `payload` as an element of the array that goes to the broker: the same object without the key stream.
void append_point(std::string& out, const Payload& payload);

}  // namespace fieldpipe::uplink
