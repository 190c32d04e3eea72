// SPDX-License-Identifier: MIT
#include "flexconnect/stream_decoder.h"

#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "flexconnect/message.h"

namespace fieldpipe::flexconnect {
namespace {

// Nothing: to be told by the first bytes.
std::optional<record::Framing> framing_of(StreamSource source) {
  switch (source) {
    case StreamSource::kAuto:
    case StreamSource::kLog: break;
    case StreamSource::kFrames: return record::Framing::kFrames;
    case StreamSource::kWhole: return record::Framing::kWhole;
    case StreamSource::kNul: return record::Framing::kNul;
    case StreamSource::kHex: return record::Framing::kHex;
    case StreamSource::kBase64: return record::Framing::kBase64;
    case StreamSource::kLines:
    case StreamSource::kEnvelope: return record::Framing::kLines;
  }
  return std::nullopt;
}

}  // namespace

StreamDecoder::StreamDecoder(StreamDecoderOptions options, can::FrameWriter& writer)
    : options_(std::move(options)), writer_(writer), message_(options_.messages, writer), log_(options_.frames) {
  begin_input();
}

void StreamDecoder::begin_input() {
  is_log_ = options_.source == StreamSource::kLog;
  splitter_.reset();
  if (const auto framing = framing_of(options_.source)) splitter_.emplace(*framing, options_.max_record_bytes);
  log_.begin_input();
}

// False: more bytes are needed to tell.
bool StreamDecoder::detect(Bytes window, bool at_end) {
  const auto framing = detect_framing(window, at_end);
  if (!framing) return false;
  if (framing == record::Framing::kLines) {
    const std::string_view text = trimmed(can::strip_bom(as_text(window)));
    if (text.empty() && !at_end) return false;
    is_log_ = !text.empty() && text.front() != '{';
  }
  if (!is_log_) splitter_.emplace(*framing, options_.max_record_bytes);
  return true;
}

Result<StreamDecoder::Step> StreamDecoder::feed(Bytes window, bool at_end, std::int64_t arrival_ns, std::string& out) {
  if (in_message_) {
    auto more = message_.more(out, kBlockBytes);
    if (more && *more) return Step{};
    if (!more) put_aside(std::move(more).error().in(fmt::format("record {}", splitter_->count())));
    in_message_ = false;
    return Step{message_bytes_, false};
  }
  if (!is_log_ && !splitter_ && !detect(window, at_end)) return Step{0, true};
  return is_log_ ? feed_log(window, at_end, arrival_ns, out) : feed_messages(window, at_end);
}

Result<StreamDecoder::Step> StreamDecoder::feed_log(Bytes window, bool at_end, std::int64_t arrival_ns,
                                                    std::string& out) {
  const auto take_frame = [&](const can::CandumpLine& line, std::int64_t time_ns) {
    if (line.frame.kind == can::Kind::kXl) return Result<void>();  // its data is not kept
    frame_.time = can::Moment::of_ns(time_ns);
    frame_.interface = line.interface;
    frame_.bus = options_.messages.buses.bus_of(line.interface);
    frame_.frame = line.frame;
    return writer_.write(out, frame_);
  };
  auto used = cutter_.feed(
      as_text(window), at_end, can::kMaxCandumpLineBytes,
      [&](std::string_view line) { return log_.take_line(line, cutter_.lines(), arrival_ns, take_frame); },
      [&](std::string_view) { return log_.refuse_long(cutter_.lines()); });
  if (!used) return fail(std::move(used));
  return Step{*used, true};
}

Result<StreamDecoder::Step> StreamDecoder::feed_messages(Bytes window, bool at_end) {
  auto step = splitter_->next(window, at_end);
  if (!step) return fail(std::move(step));
  if (!step->record) return Step{0, true};
  Bytes message = *step->record;
  // A blank line between messages, or an empty file, is no message; an empty frame is a broken one.
  if (splitter_->framing() != record::Framing::kFrames && trimmed(as_text(message)).empty())
    return Step{step->used_bytes, false};
  if (options_.source == StreamSource::kEnvelope) {
    auto envelope = record::parse_envelope(reader_, as_text(message));
    if (!envelope) {
      put_aside(std::move(envelope).error().in(fmt::format("record {}", splitter_->count())));
      return Step{step->used_bytes, false};
    }
    envelope_ = *std::move(envelope);
    message = as_bytes(envelope_.payload);
  }
  if (auto begun = message_.begin(message); !begun) {
    if (options_.source == StreamSource::kAuto && splitter_->framing() == record::Framing::kLines &&
        as_text(message).starts_with('{') && begun.error().hint.empty()) {
      begun.error().hint = "--from whole reads one message of several lines";
    }
    put_aside(std::move(begun).error().in(fmt::format("record {}", splitter_->count())));
    return Step{step->used_bytes, false};
  }
  in_message_ = true;
  message_bytes_ = step->used_bytes;
  return Step{};
}

void StreamDecoder::put_aside(Error error) {
  if (++broken_ <= kMaxTold) faults_.push_back(std::move(error));
}

}  // namespace fieldpipe::flexconnect
