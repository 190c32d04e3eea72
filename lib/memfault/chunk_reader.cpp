// SPDX-License-Identifier: MIT
#include "memfault/chunk_reader.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "memfault/console_text.h"
#include "memfault/identity.h"

namespace fieldpipe::memfault {
namespace {

// Of a line of JSON, beside its chunk: a topic may have 64 KiB.
constexpr std::size_t kJsonRoomBytes = std::size_t{128} * 1024;

constexpr std::string_view kSpaces = " \t\r\n";

std::size_t max_line_bytes(ChunkForm form, std::size_t max_chunk_bytes) {
  switch (form) {
    case ChunkForm::kHex: return 2 * max_chunk_bytes + 2;
    case ChunkForm::kBase64: return (max_chunk_bytes + 2) / 3 * 4 + 2;
    case ChunkForm::kEnvelope: return 6 * max_chunk_bytes + kJsonRoomBytes;  // a payload of \u0000
    default: return (max_chunk_bytes + 2) / 3 * 4 + kJsonRoomBytes;
  }
}

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

// Kept of the text of a record that was refused.
constexpr std::size_t kKeptBytes = 4096;

bool is_hex(char c) { return kHexValue[static_cast<unsigned char>(c)] != kNotHex; }

// The current member of `reader`, which is base64.
void take_base64(json::Reader& reader, std::string& bytes) {
  bytes.clear();
  if (const auto decoded = decode_base64(reader.string(), bytes); !decoded) reader.refuse(decoded.error().what);
}

tl::unexpected<Error> unknown_json(std::string_view why) {
  return fail(ErrorCode::kBadData, fmt::format("line 1: {}", why),
              "lines of JSON hold device and chunk (ndjson), topic and data (events), or an envelope; see --from");
}

}  // namespace

std::string_view print_form(ChunkForm form) {
  switch (form) {
    case ChunkForm::kAuto: return "auto";
    case ChunkForm::kFrames: return "frames";
    case ChunkForm::kWhole: return "whole";
    case ChunkForm::kHex: return "hex";
    case ChunkForm::kBase64: return "base64";
    case ChunkForm::kConsole: return "console";
    case ChunkForm::kNdjson: return "ndjson";
    case ChunkForm::kEvents: return "events";
    case ChunkForm::kEnvelope: return "envelope";
  }
  return {};
}

ChunkReader::ChunkReader(ChunkReaderOptions options) : options_(std::move(options)) { begin_input(); }

void ChunkReader::begin_input() {
  form_ = options_.form;
  splitter_.reset();
  lines_ = 0;
  skipped_bytes_ = 0;
}

Result<ChunkReader::Step> ChunkReader::next(Bytes window, bool at_end) {
  if (form_ == ChunkForm::kAuto) {
    auto told = detect(window, at_end);
    if (!told) return fail(std::move(told));
    if (!*told) return Step{};
  }
  switch (form_) {
    case ChunkForm::kFrames:
    case ChunkForm::kWhole: return next_framed(window, at_end);
    case ChunkForm::kConsole: return next_console(window, at_end);
    default: return next_line(window, at_end);
  }
}

// False: more bytes are needed to tell.
Result<bool> ChunkReader::detect(Bytes window, bool at_end) {
  const std::string_view text = as_text(window);
  // At the end also the start of a mark: a frame that was cut.
  if (text.starts_with(record::kFrameMark) || (at_end && !text.empty() && record::kFrameMark.starts_with(text))) {
    form_ = ChunkForm::kFrames;
    return true;
  }
  if (record::kFrameMark.starts_with(text)) return false;
  const std::size_t begin = std::min(text.find_first_not_of(kSpaces), text.size());
  const std::size_t end = std::min(text.find('\n', begin), text.size());
  const std::string_view line = trimmed(text.substr(begin, end - begin));
  const bool whole = end < text.size() || at_end || end - begin > max_line_bytes(form_, options_.max_record_bytes);
  if (line.empty()) return false;
  if (line.front() == '{') {
    if (!whole) return false;
    auto form = detect_json(line);
    if (!form) return fail(std::move(form));
    form_ = *form;
  } else if (!std::ranges::all_of(line, is_hex)) {
    form_ = ChunkForm::kConsole;
  } else {
    if (!whole) return false;
    form_ = line.size() % 2 == 0 ? ChunkForm::kHex : ChunkForm::kConsole;
  }
  return true;
}

Result<ChunkForm> ChunkReader::detect_json(std::string_view line) {
  ChunkForm form = ChunkForm::kAuto;
  reader_.open(line);
  reader_.enter_object();
  while (reader_.next_member()) {
    const std::string_view key = reader_.key();
    if (key == "chunk") {
      form = ChunkForm::kNdjson;
    } else if (key == "data" && form != ChunkForm::kNdjson) {
      form = ChunkForm::kEvents;
    } else if (key == "topic" && form == ChunkForm::kAuto) {
      form = ChunkForm::kEnvelope;
    }
  }
  if (auto walked = reader_.finish(); !walked) return unknown_json(walked.error().what);
  if (form == ChunkForm::kAuto) return unknown_json("a JSON object without a chunk");
  return form;
}

Result<ChunkReader::Step> ChunkReader::next_framed(Bytes window, bool at_end) {
  if (!splitter_) {
    splitter_.emplace(form_ == ChunkForm::kFrames ? record::Framing::kFrames : record::Framing::kWhole,
                      options_.max_record_bytes, kKeptBytes);
  }
  auto step = splitter_->next(window, at_end);
  if (!step) {
    if (!options_.whole_records || !splitter_->truncated()) return fail(std::move(step));
    begin_record(0);
    auto refused = refuse("unterminated", std::move(step).error().what);
    const std::uint64_t bytes = splitter_->truncated_bytes();
    return give(window.size(), std::move(refused), bytes > 0 ? splitter_->truncated_start() : as_text(window), bytes);
  }
  if (!step->record) return Step{step->used_bytes, nullptr};
  begin_record(0);
  if (step->oversize_bytes > 0) {
    return give(step->used_bytes, refuse_oversize(step->oversize_bytes), as_text(*step->record), step->oversize_bytes);
  }
  record_.chunk = *step->record;
  return give(step->used_bytes, {}, as_text(record_.chunk));
}

ChunkReader::Step ChunkReader::next_console(Bytes window, bool at_end) {
  const std::string_view text = as_text(window);
  ConsoleStep step = scan_console(text, at_end, options_.max_record_bytes, chunk_);
  const std::uint64_t line = lines_ + count_lines(text.substr(0, step.record_at)) + 1;
  lines_ += count_lines(text.substr(0, step.used_bytes));
  if (!step.found) return {step.used_bytes, nullptr};
  begin_record(line);
  record_.chunk = as_bytes(chunk_);
  return give(step.used_bytes, *std::move(step.found), text.substr(step.record_at, step.used_bytes - step.record_at));
}

ChunkReader::Step ChunkReader::next_line(Bytes window, bool at_end) {
  std::size_t used_bytes = 0;
  while (const auto line = take_line(window.subspan(used_bytes), at_end)) {
    used_bytes += line->used_bytes;
    if (line->text.empty() && !line->too_long) continue;
    begin_record(lines_);
    if (line->too_long) {
      auto refused = refuse("oversize", fmt::format("line longer than a chunk at the limit of {} takes",
                                                    print_size(options_.max_record_bytes)));
      return give(used_bytes, std::move(refused), start_, line->bytes);
    }
    if (options_.whole_records && !line->ended && (form_ == ChunkForm::kHex || form_ == ChunkForm::kBase64)) {
      return give(used_bytes, refuse("unterminated", "the last line has no end, so a part of it may be missing"),
                  line->text);
    }
    return give(used_bytes, read_line(line->text), line->text);
  }
  return {used_bytes + std::exchange(dropped_bytes_, 0), nullptr};
}

// The line at the front of `window`. Of one that is too long what there is is dropped, and it is given at its end.
std::optional<ChunkReader::Line> ChunkReader::take_line(Bytes window, bool at_end) {
  const std::string_view text = as_text(window);
  const std::size_t found = text.find('\n');
  const bool ended = found != std::string_view::npos;
  const std::size_t length = ended ? found : text.size();
  const bool too_long = skipped_bytes_ > 0 || length > max_line_bytes(form_, options_.max_record_bytes);
  if (!ended && text.empty() && (!at_end || skipped_bytes_ == 0)) return std::nullopt;
  if (too_long) {
    if (skipped_bytes_ == 0) start_.clear();
    start_.append(text.substr(0, std::min(length, kKeptBytes - start_.size())));
  }
  if (!ended && !at_end) {
    if (too_long) {
      skipped_bytes_ += length;
      dropped_bytes_ = length;
    }
    return std::nullopt;
  }
  ++lines_;
  return Line{length + (ended ? 1 : 0), length + std::exchange(skipped_bytes_, 0), trimmed(text.substr(0, length)),
              too_long, ended};
}

Result<void> ChunkReader::read_line(std::string_view line) {
  chunk_.clear();
  auto read = [&]() -> Result<void> {
    switch (form_) {
      case ChunkForm::kHex: return decode_hex(line, chunk_);
      case ChunkForm::kBase64: return decode_base64(line, chunk_);
      case ChunkForm::kNdjson: return read_ndjson(line);
      case ChunkForm::kEvents: return read_event(line);
      default: return read_envelope(line);
    }
  }();
  if (!read) return read;
  record_.chunk = as_bytes(chunk_);
  return {};
}

Result<void> ChunkReader::read_ndjson(std::string_view line) {
  enum { kDevice, kChunk, kKey, kKeys };
  std::array<bool, kKeys> seen{};
  reader_.open(line);
  reader_.enter_object();
  while (reader_.next_member()) {
    const std::string_view key = reader_.key();
    if (key == "device") {
      reader_.once(seen[kDevice]);
      record_.device = reader_.string();
    } else if (key == "chunk") {
      reader_.once(seen[kChunk]);
      take_base64(reader_, chunk_);
    } else if (key == "project_key") {
      reader_.once(seen[kKey]);
      record_.project_key = reader_.string();
    }
  }
  if (auto walked = reader_.finish(); !walked) return walked;
  if (!seen[kDevice]) return fail(ErrorCode::kBadData, "no device");
  if (!seen[kChunk]) return fail(ErrorCode::kBadData, "no chunk");
  return check_identity(seen[kKey]);
}

Result<void> ChunkReader::read_event(std::string_view line) {
  enum { kTopic, kData, kKeys };
  std::array<bool, kKeys> seen{};
  reader_.open(line);
  reader_.enter_object();
  std::string_view topic;
  while (reader_.next_member()) {
    const std::string_view key = reader_.key();
    if (key == "topic") {
      reader_.once(seen[kTopic]);
      topic = reader_.string();
    } else if (key == "data") {
      reader_.once(seen[kData]);
      take_base64(reader_, chunk_);
    }
  }
  if (auto walked = reader_.finish(); !walked) return walked;
  if (!seen[kTopic]) return fail(ErrorCode::kBadData, "no topic");
  if (!seen[kData]) return fail(ErrorCode::kBadData, "no data");
  return read_topic(topic);
}

Result<void> ChunkReader::read_envelope(std::string_view line) {
  auto envelope = record::parse_envelope(reader_, line);
  if (!envelope) return fail(std::move(envelope));
  envelope_ = *std::move(envelope);
  if (envelope_.retain.value_or(false)) return refuse("retained", "a retained message, which is a replay");
  chunk_ = std::move(envelope_.payload);
  return read_topic(envelope_.topic);
}

// `topic` outlives the record.
Result<void> ChunkReader::read_topic(std::string_view topic) {
  const auto match = options_.topic.match(topic);
  if (!match) {
    // Without the topic, which may hold a key.
    return refuse("bad-topic", fmt::format("the topic does not match {}", options_.topic.filter()));
  }
  record_.device = match->device;
  record_.project_key = match->project_key.value_or(std::string_view{});
  return check_identity(match->project_key.has_value());
}

Result<void> ChunkReader::check_identity(bool with_key) {
  if (auto checked = check_device(record_.device); !checked) {
    return refuse("bad-device-id", std::move(checked).error().what);
  }
  if (!with_key) return {};
  auto checked = check_project_key(record_.project_key);
  return checked ? checked : refuse("bad-key", std::move(checked).error().what);
}

tl::unexpected<Error> ChunkReader::refuse(std::string_view reason, std::string what) {
  record_.reason = reason;
  return fail(ErrorCode::kBadData, std::move(what));
}

tl::unexpected<Error> ChunkReader::refuse_oversize(std::uint64_t bytes) {
  return refuse("oversize",
                fmt::format("chunk of {} bytes, the limit is {}", bytes, print_size(options_.max_record_bytes)));
}

void ChunkReader::begin_record(std::uint64_t line) {
  record_.line = line;
  record_.device = {};
  record_.project_key = {};
  record_.chunk = {};
  record_.refusal.clear();
  record_.reason = {};
  record_.raw = {};
  record_.raw_bytes = 0;
}

// `read`: what reading record_ came to; `text`: what it was read from, or the start of that, which has `text_bytes`.
ChunkReader::Step ChunkReader::give(std::size_t used_bytes, Result<void> read, std::string_view text,
                                    std::uint64_t text_bytes) {
  ++record_.number;
  if (read && record_.chunk.empty()) read = refuse("empty", "empty chunk");
  if (read && record_.chunk.size() > options_.max_record_bytes) read = refuse_oversize(record_.chunk.size());
  if (!read) {
    const std::string_view reason = record_.reason.empty() ? "bad-record" : record_.reason;
    const bool understood = reason == "bad-device-id" || reason == "bad-key" || reason == "bad-topic";
    begin_record(record_.line);
    record_.refusal = std::move(read.error().what);
    record_.reason = reason;
    if (understood) {
      record_.raw = chunk_;
    } else if (form_ == ChunkForm::kNdjson || form_ == ChunkForm::kEvents || form_ == ChunkForm::kEnvelope) {
      raw_ = without_project_keys(text.substr(0, kKeptBytes));
      record_.raw = raw_;
    } else {
      record_.raw = text;
    }
    record_.raw_bytes = std::max<std::uint64_t>(text_bytes, understood ? chunk_.size() : text.size());
  }
  return {used_bytes, &record_};
}

}  // namespace fieldpipe::memfault
