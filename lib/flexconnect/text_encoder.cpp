// SPDX-License-Identifier: MIT
#include "flexconnect/text_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/text.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
// 1991-01-01: no CAN log is older, so the clock was never set (the border that cantools uses too).
constexpr std::int64_t kFirstPlausibleNs = 662'688'000'000'000'000;
constexpr std::size_t kMaxKnownInterfaces = 64;

// Whether two names are the same; most have 4 to 8 characters (can0, slcan12), which two overlapping words hold.
bool is_same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.size() < 4 || a.size() > 8) return a == b;
  const auto word = [](const char* from) {
    std::uint32_t value = 0;
    std::memcpy(&value, from, sizeof(value));
    return value;
  };
  return word(a.data()) == word(b.data()) && word(a.data() + a.size() - 4) == word(b.data() + b.size() - 4);
}

}  // namespace

TextEncoder::TextEncoder(TextEncoderOptions options, Sink sink)
    : options_(std::move(options)), sink_(std::move(sink)), source_(options_.source), line_time_(options_.times) {}

auto TextEncoder::sink() {
  return [this](auto message) {
    ++counts_.messages;
    if constexpr (std::is_same_v<decltype(message), Bytes>) {
      return sink_(Form::kBinary, message);
    } else {
      return sink_(Form::kJson, as_bytes(message));
    }
  };
}

Result<std::size_t> TextEncoder::feed(std::string_view text, bool at_end, std::int64_t arrival_ns) {
  const std::size_t most = source_ == TextSource::kCandump ? can::kMaxCandumpLineBytes : options_.max_line_bytes;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* at = begin;
  while (at != end) {
    const auto* found = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    const auto length = static_cast<std::size_t>((found != nullptr ? found : end) - at);
    if (found == nullptr && !at_end) {
      if (length <= most && !skipping_) break;
      // The rest of the line is dropped as it comes, so that its length costs no memory.
      if (!std::exchange(skipping_, true)) {
        ++counts_.lines;
        if (auto refused = refuse_line(fmt::format("longer than the limit of {}", print_size(most))); !refused) {
          return fail(std::move(refused));
        }
      }
      at = end;
      break;
    }
    const std::string_view line(at, length);
    at += length + (found != nullptr ? 1 : 0);
    if (std::exchange(skipping_, false)) continue;
    if (auto taken = take_line(line, arrival_ns); !taken) return fail(std::move(taken));
  }
  return static_cast<std::size_t>(at - begin);
}

Result<void> TextEncoder::close() {
  if (auto* binary = std::get_if<BinaryBatch>(&batch_)) return binary->batcher.close(sink());
  if (auto* json = std::get_if<JsonBatch>(&batch_)) return json->batcher.close(sink());
  return {};
}

bool TextEncoder::has_open_message() const {
  if (const auto* binary = std::get_if<BinaryBatch>(&batch_)) return !binary->batcher.empty();
  if (const auto* json = std::get_if<JsonBatch>(&batch_)) return !json->batcher.empty();
  return false;
}

// The first line with text decides what the input is, and with it what comes out.
Result<void> TextEncoder::choose(std::string_view line) {
  if (source_ == TextSource::kAuto) {
    source_ = trimmed(line).starts_with('{') ? TextSource::kPoints : TextSource::kCandump;
  }
  const bool points = source_ == TextSource::kPoints;
  const Form form = options_.form.value_or(points ? Form::kJson : Form::kBinary);
  if (form == Form::kBinary) {
    if (points) return fail(ErrorCode::kUsage, "points have no binary form", "--to json");
    batch_.emplace<BinaryBatch>(options_.defaults.token, options_.limits);
    return {};
  }
  if (!points && options_.defaults.device_id.empty()) {
    return fail(ErrorCode::kUsage, "a JSON message names its device", "--device-id");
  }
  batch_.emplace<JsonBatch>(options_.defaults, options_.limits);
  return {};
}

Result<void> TextEncoder::take_line(std::string_view line, std::int64_t arrival_ns) {
  if (++counts_.lines == 1) line = can::strip_bom(line);
  if (std::holds_alternative<std::monostate>(batch_)) {
    if (trimmed(line).empty()) return {};
    if (auto chosen = choose(line); !chosen) return chosen;
  }
  if (source_ == TextSource::kPoints) return take_point(line);
  switch (can::parse_candump(line, line_)) {
    case can::LineClass::kFrame: return take_frame(arrival_ns);
    case can::LineClass::kNote: return {};
    case can::LineClass::kDropCount: counts_.dropped += line_.dropped_frames; return {};
    case can::LineClass::kBad: break;
  }
  const can::CandumpFault& fault = line_.fault;
  std::string reason(fault.reason);
  if (!fault.text.empty()) reason += fmt::format(": '{}'", printable(fault.text));
  if (!fault.hint.empty()) reason += fmt::format(" ({})", fault.hint);
  return refuse_line(reason);
}

Result<void> TextEncoder::take_point(std::string_view line) {
  if (trimmed(line).empty()) return {};
  if (line.size() > options_.max_line_bytes) {
    return refuse_line(fmt::format("longer than the limit of {}", print_size(options_.max_line_bytes)));
  }
  if (auto parsed = parse_point(reader_, line, point_); !parsed) {
    const Error& error = parsed.error();
    return refuse_line(error.offset ? fmt::format("{}: at byte {}", error.what, *error.offset) : error.what);
  }
  if (!point_.device_id && options_.defaults.device_id.empty()) {
    return at_line({ErrorCode::kUsage, "a point without device_id, and no --device-id", {}, std::nullopt});
  }
  auto& json = std::get<JsonBatch>(batch_);
  json.encoder.render(point_, point_text_);
  if (auto added = json.batcher.add(sink(), point_.time_ms, point_text_); !added) {
    if (added.error().code != ErrorCode::kBadData) return added;
    return refuse_line(added.error().what);
  }
  ++counts_.records;
  return {};
}

Result<void> TextEncoder::take_frame(std::int64_t arrival_ns) {
  std::int64_t time_ns = line_.time_ns;
  if (line_.time_base != can::TimeBase::kAbsolute) {
    auto time = line_time_.of(line_, arrival_ns);
    if (!time) return at_line(std::move(time).error());
    time_ns = *time;
  }
  switch (line_.frame.kind) {
    case can::Kind::kClassic:
    case can::Kind::kFd: break;
    case can::Kind::kRemote: return leave_out(counts_.remote, "a remote frame has no place in a message");
    case can::Kind::kError: return leave_out(counts_.error, "an error message of the kernel has no place in a message");
    case can::Kind::kXl: return leave_out(counts_.xl, "a CAN XL frame has no place in a message");
  }
  const std::optional<unsigned> number = bus();
  if (!number) return refuse_interface();
  if (time_ns < kFirstPlausibleNs) {
    if (time_ns < 0) return refuse_line("a time before 1970");
    ++counts_.early;
  }
  const std::int64_t time_ms = time_ns / kNsPerMs;
  if (auto* binary = std::get_if<BinaryBatch>(&batch_)) return add_frame(*binary, time_ms, *number);
  return add_frame(std::get<JsonBatch>(batch_), time_ms, *number);
}

template <typename AnyBatch>
Result<void> TextEncoder::add_frame(AnyBatch& batch, std::int64_t time_ms, unsigned number) {
  if (auto added = batch.batcher.add(sink(), time_ms, number, line_.frame); !added)
    return at_line(std::move(added).error());
  ++counts_.records;
  return {};
}

// Looked up once for each name: a log has few interfaces and millions of frames.
std::optional<unsigned> TextEncoder::bus() {
  for (const auto& [name, number] : known_interfaces_) {
    if (is_same_name(name, line_.interface)) return number;
  }
  const auto number = options_.buses.bus_of(line_.interface);
  if (known_interfaces_.size() < kMaxKnownInterfaces) known_interfaces_.emplace_back(line_.interface, number);
  return number;
}

Result<void> TextEncoder::refuse_interface() {
  std::string_view name = line_.interface;
  if (options_.strict) {
    return at_line({ErrorCode::kBadData, fmt::format("interface {} has no bus number", printable(name)),
                    fmt::format("--bus {}=N with N from 0 to {}", printable(name), kBuses - 1), std::nullopt});
  }
  auto known = counts_.unmapped.find(name);
  if (known == counts_.unmapped.end()) {
    if (counts_.unmapped.size() >= kMaxKnownInterfaces) name = {};
    known = counts_.unmapped.try_emplace(std::string(name)).first;
  }
  ++known->second;
  return {};
}

Result<void> TextEncoder::leave_out(std::uint64_t& count, std::string_view what) {
  if (options_.strict) return at_line({ErrorCode::kBadData, std::string(what), {}, std::nullopt});
  ++count;
  return {};
}

Result<void> TextEncoder::refuse_line(std::string_view reason) {
  if (options_.strict) return at_line({ErrorCode::kBadData, std::string(reason), {}, std::nullopt});
  if (counts_.bad++ == 0) counts_.first_bad = fmt::format("line {}: {}", counts_.lines, reason);
  return {};
}

tl::unexpected<Error> TextEncoder::at_line(Error error) const {
  error.offset.reset();
  return tl::make_unexpected(std::move(error).in(fmt::format("line {}", counts_.lines)));
}

}  // namespace fieldpipe::flexconnect
