// SPDX-License-Identifier: MIT
// Lines of text, as sensors and scripts write them, as lines of the application port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "json/reader.h"
#include "uplink/payload.h"

namespace fieldpipe::uplink {

// What a line of text is.
enum class Form : std::uint8_t {
  kAuto,     // a line that begins with { is JSON; the first other line says what the others are
  kJson,     // an object: a point, in which stream, sequence and timestamp may be missing
  kPairs,    // key=value pairs with white space between them
  kCsv,      // cells with commas between them (RFC 4180, no line breaks in cells) under a first line with the names
  kNumbers,  // one number
};

struct LineSettings {
  Form form = Form::kAuto;
  std::string stream;           // of lines that name none; empty: there is none
  std::string field = "value";  // the column of a plain number
};

// Turns text lines into data lines. What a line lacks is filled in: the stream from the settings, the sequence from a
// counter of its stream that begins at 1 (and goes on at 0 behind 4294967295), the timestamp from the caller. Values
// keep their JSON text; a cell, or a value of a pair, that is no JSON value is a string, and an empty cell is no
// column. A byte order mark before the first line is passed over. The names stream, sequence and timestamp mean in
// every form what they mean in JSON.
class LineEncoder {
 public:
  static constexpr std::size_t kMaxStreams = 1024;  // with a counter

  explicit LineEncoder(LineSettings settings);

  // Appends the data line for `text`, a line without its LF, to `out`; a blank line and a CSV header give none. Fails
  // with kBadData for a line that is not what it must be, and with kUsage when no line can have a stream; `out` is then
  // as it was. `readable_bytes` as for json::Reader::open.
  Result<void> encode(std::string_view text, std::uint64_t now_ms, std::string& out, std::size_t readable_bytes = 0);

  // Whether the last failure is one of all lines that follow: a CSV header, or a first line, that is none, no stream at
  // all, or a NUL byte where nothing but the lines themselves says that they are text.
  [[nodiscard]] bool unusable() const { return unusable_; }

 private:
  Result<void> refuse_text(std::string_view why);
  Result<void> encode_json(std::string_view text, std::string& out, std::size_t readable_bytes);
  Result<void> encode_number(std::string_view text, std::string& out);
  Result<void> encode_pairs(std::string_view text, std::string& out);
  Result<void> encode_csv(std::string_view text, std::string& out);
  Result<void> take_header(std::string_view text);
  Result<void> add(std::string_view key, std::string_view text, bool quoted);
  Result<void> finish(const Given& given, std::string& out);
  Result<std::uint32_t*> counter(std::string_view stream);

  LineSettings settings_;
  Form form_;                // of lines that do not begin with {; kAuto until the first of them
  std::string number_head_;  // of a plain number's line, up to its sequence
  std::string number_field_;
  json::Reader reader_;
  Payload payload_;
  Given given_;
  bool begun_ = false;  // a line has come
  bool unusable_ = false;
  std::uint64_t now_ms_ = 0;
  std::string now_text_;
  std::string strings_;  // JSON texts of the line's values that are no JSON themselves; never grows within a line
  std::string cell_;
  std::vector<std::string> header_;
  std::map<std::string, std::uint32_t, std::less<>> sequences_;
  std::uint32_t* own_sequence_ = nullptr;  // that of settings_.stream
};

}  // namespace fieldpipe::uplink
