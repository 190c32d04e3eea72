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
  skipping_ = false;
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
  if (text.starts_with(record::kFrameMark)) {
    form_ = ChunkForm::kFrames;
    return true;
  }
  if (record::kFrameMark.starts_with(text) && !at_end) return false;
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
                      options_.max_record_bytes);
  }
  auto step = splitter_->next(window, at_end);
  if (!step) return fail(std::move(step));
  if (!step->record) return Step{};
  begin_record(0);
  record_.chunk = *step->record;
  return give(step->used_bytes, {});
}

ChunkReader::Step ChunkReader::next_console(Bytes window, bool at_end) {
  const std::string_view text = as_text(window);
  ConsoleStep step = scan_console(text, at_end, options_.max_record_bytes, chunk_);
  const std::uint64_t line = lines_ + count_lines(text.substr(0, step.record_at)) + 1;
  lines_ += count_lines(text.substr(0, step.used_bytes));
  if (!step.found) return {step.used_bytes, nullptr};
  begin_record(line);
  record_.chunk = as_bytes(chunk_);
  return give(step.used_bytes, *std::move(step.found));
}

ChunkReader::Step ChunkReader::next_line(Bytes window, bool at_end) {
  std::size_t used_bytes = 0;
  while (const auto line = take_line(window.subspan(used_bytes), at_end)) {
    used_bytes += line->used_bytes;
    if (line->text.empty() && !line->too_long) continue;
    begin_record(lines_);
    if (line->too_long) {
      return give(used_bytes, fail(ErrorCode::kBadData, fmt::format("line longer than a chunk at the limit of {} takes",
                                                                    print_size(options_.max_record_bytes))));
    }
    return give(used_bytes, read_line(line->text));
  }
  return {used_bytes + std::exchange(dropped_bytes_, 0), nullptr};
}

// The line at the front of `window`. Of one that is too long what there is is dropped, and it is given at its end.
std::optional<ChunkReader::Line> ChunkReader::take_line(Bytes window, bool at_end) {
  const std::string_view text = as_text(window);
  const std::size_t found = text.find('\n');
  const bool ended = found != std::string_view::npos;
  const std::size_t length = ended ? found : text.size();
  const bool too_long = skipping_ || length > max_line_bytes(form_, options_.max_record_bytes);
  if (!ended && (!at_end || (text.empty() && !skipping_))) {
    if (too_long) {
      skipping_ = true;
      dropped_bytes_ = length;
    }
    return std::nullopt;
  }
  skipping_ = false;
  ++lines_;
  return Line{length + (ended ? 1 : 0), trimmed(text.substr(0, length)), too_long};
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
  if (auto checked = check_device(record_.device); !checked) return checked;
  return seen[kKey] ? check_project_key(record_.project_key) : Result<void>();
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
  if (envelope_.retain.value_or(false)) return fail(ErrorCode::kBadData, "a retained message, which is a replay");
  chunk_ = std::move(envelope_.payload);
  return read_topic(envelope_.topic);
}

// `topic` outlives the record.
Result<void> ChunkReader::read_topic(std::string_view topic) {
  const auto match = options_.topic.match(topic);
  if (!match) {
    // Without the topic, which may hold a key.
    return fail(ErrorCode::kBadData, fmt::format("the topic does not match {}", options_.topic.filter()));
  }
  record_.device = match->device;
  record_.project_key = match->project_key.value_or(std::string_view{});
  if (auto checked = check_device(record_.device); !checked) return checked;
  return match->project_key ? check_project_key(record_.project_key) : Result<void>();
}

void ChunkReader::begin_record(std::uint64_t line) {
  record_.line = line;
  record_.device = {};
  record_.project_key = {};
  record_.chunk = {};
  record_.refusal.clear();
}

// `read`: what reading record_ came to.
ChunkReader::Step ChunkReader::give(std::size_t used_bytes, Result<void> read) {
  ++record_.number;
  if (read && record_.chunk.empty()) read = fail(ErrorCode::kBadData, "empty chunk");
  if (read && record_.chunk.size() > options_.max_record_bytes) {
    read = fail(ErrorCode::kBadData, fmt::format("chunk of {} bytes, the limit is {}", record_.chunk.size(),
                                                 print_size(options_.max_record_bytes)));
  }
  if (!read) {
    begin_record(record_.line);
    record_.refusal = std::move(read.error().what);
  }
  return {used_bytes, &record_};
}

}  // namespace fieldpipe::memfault
