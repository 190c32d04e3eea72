// SPDX-License-Identifier: MIT
#include "uplink/line_encoder.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::uplink {
namespace {

constexpr std::string_view kSpace = " \t";

// Spreadsheets put it before a table that they save as UTF-8.
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool begins_number(std::string_view text) {
  return !text.empty() && (text.front() == '-' || (text.front() >= '0' && text.front() <= '9'));
}

bool is_number(json::Reader& reader, std::string_view text) { return begins_number(text) && reader.is_value(text); }

bool begins_pairs(std::string_view text) {
  const std::string_view first = text.substr(0, text.find_first_of(kSpace));
  const std::size_t sign = first.find('=');
  return sign != std::string_view::npos && sign > 0 && first.find_first_of(",\"") > sign;
}

Form form_of(json::Reader& reader, std::string_view text) {
  if (is_number(reader, text)) return Form::kNumbers;
  return begins_pairs(text) ? Form::kPairs : Form::kCsv;
}

// The first value of `text`, which begins behind a `=`: a JSON string with its quotes, else all up to white space.
std::string_view first_value(std::string_view text) {
  if (!text.starts_with('"')) return text.substr(0, text.find_first_of(kSpace));
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return text.substr(0, i + 1);
    }
  }
  return text;
}

struct Cell {
  std::string_view text;  // without quotes
  bool quoted = false;
};

// Takes the first cell off `line`, which is nothing once the last one is taken; `unquoted` holds the text of a cell
// with quotes inside.
Result<Cell> take_cell(std::optional<std::string_view>& line, std::string& unquoted) {
  std::string_view text = *line;
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  if (!text.starts_with('"')) {
    const std::size_t comma = text.find(',');
    const Cell cell{trimmed(text.substr(0, comma)), false};
    line = comma == std::string_view::npos ? std::nullopt : std::optional(text.substr(comma + 1));
    return cell;
  }
  unquoted.clear();
  for (std::size_t i = 1;; ++i) {
    if (i >= text.size()) return fail(ErrorCode::kBadData, "cell without its closing quote");
    if (text[i] != '"') {
      unquoted.push_back(text[i]);
    } else if (i + 1 < text.size() && text[i + 1] == '"') {
      unquoted.push_back(text[i++]);
    } else {
      text.remove_prefix(i + 1);
      break;
    }
  }
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  if (!text.empty() && text.front() != ',') {
    return fail(ErrorCode::kBadData, fmt::format("'{}' behind a cell's closing quote", printable(text, 20)));
  }
  line = text.empty() ? std::nullopt : std::optional(text.substr(1));
  return Cell{unquoted, true};
}

}  // namespace

LineEncoder::LineEncoder(LineSettings settings) : settings_(std::move(settings)), form_(settings_.form) {
  if (!settings_.stream.empty()) own_sequence_ = &sequences_.emplace(settings_.stream, 0).first->second;
  number_head_ = "{\"stream\":";
  json::append_string(number_head_, settings_.stream);
  number_head_ += ",\"sequence\":";
  number_field_ = ",";
  json::append_string(number_field_, settings_.field);
  number_field_ += ':';
}

Result<void> LineEncoder::encode(std::string_view text, std::uint64_t now_ms, std::string& out,
                                 std::size_t readable_bytes) {
  if (!std::exchange(begun_, true) && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::string_view line = trimmed(text);
  if (line.empty()) return {};
  if (line.find('\0') != std::string_view::npos) {
    if (settings_.form != Form::kAuto) return refuse_text("holds a NUL byte");
    unusable_ = true;
    return fail(ErrorCode::kBadData, "holds a NUL byte, so this is no text", "--from FORMAT goes on behind such lines");
  }
  if (now_text_.empty() || now_ms != now_ms_) {
    now_ms_ = now_ms;
    now_text_ = fmt::format(",\"timestamp\":{}", now_ms);
  }
  if (form_ == Form::kJson || (settings_.form == Form::kAuto && line.front() == '{')) {
    return encode_json(line, out, readable_bytes);
  }
  if (form_ == Form::kNumbers) return encode_number(line, out);
  if (find_invalid_utf8(line)) return refuse_text("not UTF-8");
  if (form_ == Form::kAuto) form_ = form_of(reader_, line);
  if (form_ == Form::kNumbers) return encode_number(line, out);
  payload_.columns.clear();
  given_ = {};
  // A byte has six as an escape, and a string two quotes.
  strings_.clear();
  strings_.reserve(6 * line.size() + 2 * kMaxLineKeys);
  return form_ == Form::kPairs ? encode_pairs(line, out) : encode_csv(line, out);
}

// Refuses a line that is no text. Without what it should have said of the others, none of them can be read.
Result<void> LineEncoder::refuse_text(std::string_view why) {
  unusable_ = form_ == Form::kAuto || (form_ == Form::kCsv && header_.empty());
  return fail(ErrorCode::kBadData, std::string(why));
}

Result<void> LineEncoder::encode_json(std::string_view text, std::string& out, std::size_t readable_bytes) {
  const auto given = parse_incomplete_payload(reader_, text, payload_, readable_bytes);
  if (!given) return tl::make_unexpected(given.error());
  return finish(*given, out);
}

Result<void> LineEncoder::encode_number(std::string_view text, std::string& out) {
  if (own_sequence_ == nullptr) {
    unusable_ = true;
    return fail(ErrorCode::kUsage, "no stream for plain numbers", "--stream NAME");
  }
  if (!is_number(reader_, text))
    return fail(ErrorCode::kBadData, fmt::format("'{}' is no number", printable(text, 40)));
  const std::size_t bytes = number_head_.size() + now_text_.size() + number_field_.size() + text.size() + 20;
  if (bytes > kMaxLineBytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("line of {} bytes, more than the limit of {}", bytes, print_size(kMaxLineBytes)));
  }
  out.append(number_head_);
  json::append_integer(out, ++*own_sequence_);
  out.append(now_text_).append(number_field_).append(text).append("}\n");
  return {};
}

Result<void> LineEncoder::encode_pairs(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const std::string_view token = text.substr(0, text.find_first_of(kSpace));
    const std::size_t sign = token.find('=');
    if (sign == std::string_view::npos || sign == 0) {
      return fail(ErrorCode::kBadData, fmt::format("'{}' is not key=value", printable(token, 40)));
    }
    const std::string_view key = token.substr(0, sign);
    text.remove_prefix(sign + 1);
    const std::string_view value = first_value(text);
    text.remove_prefix(value.size());
    if (!text.empty() && kSpace.find(text.front()) == std::string_view::npos) {
      return fail(ErrorCode::kBadData,
                  fmt::format("{}: '{}' behind the closing quote", printable(key, 40), printable(text, 20)));
    }
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    if (auto added = add(key, value, false); !added) return added;
  }
  return finish(given_, out);
}

Result<void> LineEncoder::take_header(std::string_view text) {
  unusable_ = true;  // until the whole header is good
  std::optional<std::string_view> left = text;
  while (left) {
    const auto cell = take_cell(left, cell_);
    if (!cell) return tl::make_unexpected(Error(cell.error()).in("header"));
    if (cell->text.empty())
      return fail(ErrorCode::kBadData, fmt::format("header: name {} is empty", header_.size() + 1));
    if (std::find(header_.begin(), header_.end(), cell->text) != header_.end()) {
      return fail(ErrorCode::kBadData, fmt::format("header: '{}' stands twice", printable(cell->text, 40)));
    }
    if (header_.size() == kMaxLineKeys) {
      return fail(ErrorCode::kBadData, fmt::format("header: more than {} names", kMaxLineKeys));
    }
    header_.emplace_back(cell->text);
  }
  if (own_sequence_ == nullptr && std::find(header_.begin(), header_.end(), "stream") == header_.end()) {
    return fail(ErrorCode::kUsage, "no stream: the header names none", "--stream NAME");
  }
  unusable_ = false;
  return {};
}

Result<void> LineEncoder::encode_csv(std::string_view text, std::string& out) {
  if (header_.empty()) return take_header(text);
  std::optional<std::string_view> left = text;
  std::size_t count = 0;
  for (; left; ++count) {
    const auto cell = take_cell(left, cell_);
    if (!cell) return tl::make_unexpected(cell.error());
    if (count >= header_.size() || (cell->text.empty() && !cell->quoted)) continue;
    if (auto added = add(header_[count], cell->text, cell->quoted); !added) return added;
  }
  if (count != header_.size()) {
    return fail(ErrorCode::kBadData, fmt::format("{} cells under a header of {}", count, header_.size()));
  }
  return finish(given_, out);
}

// Takes a value that may be JSON, but a text in quotes of CSV is none.
Result<void> LineEncoder::add(std::string_view key, std::string_view text, bool quoted) {
  const auto once = [&](bool& seen) -> Result<void> {
    if (std::exchange(seen, true)) return fail(ErrorCode::kBadData, fmt::format("{}: key stands twice", key));
    return {};
  };
  const auto out_of_range = [&](std::uint64_t most) {
    return fail(ErrorCode::kBadData,
                fmt::format("{}: must be an integer from 0 to {}, is {}", key, most, printable(text, 40)));
  };
  if (key == "sequence") {
    const auto value = parse_integer<std::uint32_t>(text);
    if (!value) return out_of_range(UINT32_MAX);
    payload_.sequence = *value;
    return once(given_.sequence);
  }
  if (key == "timestamp") {
    const auto value = parse_integer<std::uint64_t>(text);
    if (!value) return out_of_range(UINT64_MAX);
    payload_.timestamp_ms = *value;
    return once(given_.timestamp);
  }
  const bool is_json = !quoted && reader_.is_value(text, kMaxLineDepth - 1);
  if (key == "stream") {
    std::string_view name = text;
    if (is_json && text.starts_with('"')) {
      reader_.open(fmt::format("[{}]", text));
      reader_.enter_array();
      if (reader_.next_element()) name = reader_.string();
    }
    if (auto checked = check_stream_name(name); !checked) return checked;
    const std::size_t at = strings_.size();
    strings_.append(name);
    payload_.stream = std::string_view(strings_).substr(at);
    return once(given_.stream);
  }
  const auto known = [&](const Column& column) { return column.key == key; };
  if (std::any_of(payload_.columns.begin(), payload_.columns.end(), known)) {
    return fail(ErrorCode::kBadData, fmt::format("{}: key stands twice", printable(key, 40)));
  }
  if (payload_.columns.size() == kMaxLineKeys) {
    return fail(ErrorCode::kBadData, fmt::format("more than {} keys", kMaxLineKeys));
  }
  std::string_view value = text;
  if (!is_json) {
    const std::size_t at = strings_.size();
    json::append_string(strings_, text);
    value = std::string_view(strings_).substr(at);
  }
  payload_.columns.push_back({key, value});
  return {};
}

Result<std::uint32_t*> LineEncoder::counter(std::string_view stream) {
  if (const auto found = sequences_.find(stream); found != sequences_.end()) return &found->second;
  if (sequences_.size() == kMaxStreams) {
    return fail(ErrorCode::kBadData, fmt::format("stream '{}' without a sequence: {} streams have a counter already",
                                                 printable(stream, 40), kMaxStreams));
  }
  return &sequences_.emplace(stream, 0).first->second;
}

Result<void> LineEncoder::finish(const Given& given, std::string& out) {
  if (!given.stream) {
    if (own_sequence_ == nullptr) return fail(ErrorCode::kBadData, "no stream", "--stream NAME");
    payload_.stream = settings_.stream;
  }
  if (!given.timestamp) payload_.timestamp_ms = now_ms_;
  std::uint32_t* count = nullptr;
  if (!given.sequence) {
    auto found = given.stream ? counter(payload_.stream) : Result<std::uint32_t*>(own_sequence_);
    if (!found) return fail(std::move(found));
    count = *found;
    payload_.sequence = *count + 1;
  }
  const std::size_t start = out.size();
  append_line(out, payload_);
  if (const std::size_t bytes = out.size() - start - 1; bytes > kMaxLineBytes) {
    out.resize(start);
    return fail(ErrorCode::kBadData,
                fmt::format("line of {} bytes, more than the limit of {}", bytes, print_size(kMaxLineBytes)));
  }
  if (count != nullptr) *count = payload_.sequence;
  return {};
}

}  // namespace fieldpipe::uplink
