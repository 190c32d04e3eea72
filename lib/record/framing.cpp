// SPDX-License-Identifier: MIT
#include "record/framing.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::record {
namespace {

bool contains(Bytes bytes, char wanted) {
  return !bytes.empty() && std::memchr(bytes.data(), wanted, bytes.size()) != nullptr;
}

// What a decoded record of `max` bytes takes as text, with a little for the end of the line.
std::size_t max_encoded_bytes(Framing framing, std::size_t max) {
  switch (framing) {
    case Framing::kHex: return 2 * max + 2;
    case Framing::kBase64: return (max + 2) / 3 * 4 + 2;
    default: return max;
  }
}

}  // namespace

Result<void> append_record(std::string& out, Framing framing, Bytes record) {
  switch (framing) {
    case Framing::kLines:
      if (contains(record, '\n')) {
        return fail(ErrorCode::kBadData, "a record with a line feed is not one line", "--to frames, hex or base64");
      }
      out.append(as_text(record)).push_back('\n');
      return {};
    case Framing::kNul:
      if (contains(record, '\0')) {
        return fail(ErrorCode::kBadData, "a record with a NUL byte cannot end in one", "--to frames, hex or base64");
      }
      out.append(as_text(record)).push_back('\0');
      return {};
    case Framing::kFrames: {
      if (record.size() > std::numeric_limits<std::uint32_t>::max()) {
        return fail(ErrorCode::kBadData, fmt::format("record of {} bytes, a frame holds at most 4 GiB", record.size()));
      }
      std::array<std::byte, 4> length{};
      store_be(static_cast<std::uint32_t>(record.size()), length.data());
      out.append(kFrameMark).append(as_text(length)).append(as_text(record));
      return {};
    }
    case Framing::kHex:
      append_hex(out, record);
      out.push_back('\n');
      return {};
    case Framing::kBase64:
      append_base64(out, record);
      out.push_back('\n');
      return {};
    case Framing::kWhole: out.append(as_text(record)); return {};
    case Framing::kAuto: break;
  }
  return fail(ErrorCode::kBug, "no such framing to write");
}

Result<Splitter::Step> Splitter::next(Bytes window, bool at_end) {
  if (framing_ == Framing::kAuto) {
    const std::string_view start = as_text(window.first(std::min(window.size(), kFrameMark.size())));
    if (start.size() < kFrameMark.size() && kFrameMark.starts_with(start) && !at_end) return Step{};
    framing_ = start == kFrameMark ? Framing::kFrames : Framing::kLines;
    detected_ = true;
  }
  Result<Step> step = [&]() -> Result<Step> {
    switch (framing_) {
      case Framing::kFrames: return next_frame(window, at_end);
      case Framing::kWhole: return next_whole(window, at_end);
      case Framing::kNul: return next_delimited(window, at_end, '\0');
      default: return next_delimited(window, at_end, '\n');
    }
  }();
  if (step) {
    count_ += step->record ? 1 : 0;
    taken_bytes_ += step->used_bytes;
  } else {
    Error error = std::move(step).error();
    error.offset = taken_bytes_ + error.offset.value_or(0);
    return tl::make_unexpected(std::move(error).in(fmt::format("record {}", count_ + 1)));
  }
  return step;
}

Result<Splitter::Step> Splitter::next_frame(Bytes window, bool at_end) {
  if (frame_bytes_ > 0) return pass_frame(window, 0, at_end);
  if (window.empty()) return Step{};
  const std::string_view mark = as_text(window.first(std::min(window.size(), kFrameMark.size())));
  if (!kFrameMark.starts_with(mark)) return fail_at(0, ErrorCode::kBadData, "no frame header where one must be");
  if (window.size() < kFrameHeaderBytes) {
    if (!at_end) return Step{};
    return truncate(window, "a frame header", window.size(), kFrameHeaderBytes);
  }
  const std::size_t length = load_be<std::uint32_t>(window.data() + kFrameMark.size());
  if (length > max_record_bytes_ && kept_bytes_ > 0) {
    frame_bytes_ = length;
    return pass_frame(window, kFrameHeaderBytes, at_end);
  }
  if (length > max_record_bytes_) {
    return fail_at(kFrameMark.size(), ErrorCode::kBadData,
                   fmt::format("frame of {} bytes, the limit is {}", length, print_size(max_record_bytes_)),
                   "--max-record");
  }
  if (window.size() - kFrameHeaderBytes < length) {
    if (!at_end) return Step{};
    return truncate(window, "a frame", window.size() - kFrameHeaderBytes, length);
  }
  return Step{kFrameHeaderBytes + length, window.subspan(kFrameHeaderBytes, length)};
}

// From `begin` on the window holds more of a frame above the limit.
Result<Splitter::Step> Splitter::pass_frame(Bytes window, std::size_t begin, bool at_end) {
  const auto part =
      static_cast<std::size_t>(std::min<std::uint64_t>(window.size() - begin, frame_bytes_ - passed_bytes_));
  pass(window.subspan(begin, part));
  if (passed_bytes_ < frame_bytes_) {
    if (at_end) return truncate(window, "a frame", passed_bytes_, frame_bytes_);
    return Step{begin + part};
  }
  passed_bytes_ = 0;
  return Step{begin + part, as_bytes(start_), std::exchange(frame_bytes_, 0)};
}

void Splitter::pass(Bytes bytes) {
  if (passed_bytes_ == 0) start_.clear();
  start_.append(as_text(bytes.first(std::min(bytes.size(), kept_bytes_ - start_.size()))));
  passed_bytes_ += bytes.size();
}

tl::unexpected<Error> Splitter::truncate(Bytes window, std::string_view inside, std::uint64_t there,
                                         std::uint64_t wanted) {
  truncated_ = true;
  frame_bytes_ = 0;
  truncated_bytes_ = std::exchange(passed_bytes_, 0);
  return fail_at(window.size(), ErrorCode::kBadData,
                 fmt::format("input ends in {}, {} of {} bytes", inside, there, wanted));
}

Result<Splitter::Step> Splitter::next_delimited(Bytes window, bool at_end, char delimiter) {
  if (window.empty()) return Step{};
  const void* found = std::memchr(window.data(), delimiter, window.size());
  const bool ended = found != nullptr;
  const std::size_t length =
      ended ? static_cast<std::size_t>(static_cast<const std::byte*>(found) - window.data()) : window.size();
  if (length > max_encoded_bytes(framing_, max_record_bytes_)) return too_large();
  // Before the end of the line is known, so that a binary file is named as such and not as a long line.
  if (detected_) {
    if (auto text = check_text(window.first(length));
        !text && (ended || at_end || contains(window.first(length), '\0'))) {
      return fail(std::move(text));
    }
  }
  if (!ended && !at_end) return Step{};
  auto record = decode(window.first(length));
  if (!record) return fail(std::move(record));
  return Step{length + (ended ? 1U : 0U), *record};
}

Result<Splitter::Step> Splitter::next_whole(Bytes window, bool at_end) {
  if (window.size() > max_record_bytes_ && kept_bytes_ == 0) return too_large();
  if (window.size() > max_record_bytes_ || passed_bytes_ > 0) {
    pass(window);
    if (!at_end) return Step{window.size()};
    return Step{window.size(), as_bytes(start_), std::exchange(passed_bytes_, 0)};
  }
  // An empty input is one empty record, as `mosquitto_pub -s` has it; a second one never follows.
  if (!at_end || count_ > 0) return Step{};
  return Step{window.size(), window};
}

Result<void> Splitter::check_text(Bytes line) const {
  constexpr std::string_view kHint = "--from whole publishes or reads it as one record, --from lines as it is";
  const std::string_view text = as_text(line);
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return fail_at(nul, ErrorCode::kBadData, "a NUL byte in what should be a text line", std::string(kHint));
  }
  if (const auto invalid = find_invalid_utf8(text)) {
    return fail_at(*invalid, ErrorCode::kBadData, "invalid UTF-8 in what should be a text line", std::string(kHint));
  }
  return {};
}

Result<Bytes> Splitter::decode(Bytes line) {
  if (framing_ != Framing::kHex && framing_ != Framing::kBase64) return line;
  const std::string_view text = trimmed(as_text(line));
  decoded_.clear();
  auto done = framing_ == Framing::kHex ? decode_hex(text, decoded_) : decode_base64(text, decoded_);
  if (!done) return fail(std::move(done));
  if (decoded_.size() > max_record_bytes_) return too_large();
  return as_bytes(decoded_);
}

tl::unexpected<Error> Splitter::too_large() const {
  return fail(ErrorCode::kBadData, fmt::format("longer than the limit of {}", print_size(max_record_bytes_)),
              "--max-record");
}

}  // namespace fieldpipe::record
