// SPDX-License-Identifier: MIT
#include "flexconnect/text_encoder.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
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

TextEncoder::TextEncoder(TextEncoderOptions options, can::Databases& databases, can::Sampler sampler, Sink sink)
    : options_(std::move(options)),
      databases_(databases),
      sampler_(std::move(sampler)),
      sink_(std::move(sink)),
      source_(options_.source),
      reader_(options_.frames),
      point_faults_(options_.frames.strict) {}

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
  const std::size_t most = source_ == TextSource::kFrames ? can::kMaxCandumpLineBytes : options_.max_line_bytes;
  return cutter_.feed(
      text, at_end, most, [&](std::string_view line) { return take_line(line, arrival_ns); },
      [&](std::string_view start) -> Result<void> {
        // Also a line that is not read decides what the input is, or its loss would be counted in the wrong place.
        if (auto chosen = choose_once(start); !chosen) return chosen;
        if (source_ != TextSource::kPoints) return reader_.refuse_long(cutter_.lines());
        return point_faults_.add(cutter_.lines(), fmt::format("longer than the limit of {}", print_size(most)));
      });
}

Result<void> TextEncoder::pause(std::int64_t now_ns) {
  sampler_.release(now_ns, due_);
  if (auto taken = take_due(); !taken) return taken;
  return end_message();
}

Result<void> TextEncoder::finish() {
  sampler_.finish(due_);
  if (auto taken = take_due(); !taken) return taken;
  return end_message();
}

Result<void> TextEncoder::end_message() {
  if (auto ended = end_point(); !ended) return ended;
  if (auto* binary = std::get_if<BinaryBatch>(&batch_)) return binary->batcher.close(sink());
  if (auto* json = std::get_if<JsonBatch>(&batch_)) return json->batcher.close(sink());
  return {};
}

bool TextEncoder::has_open_message() const {
  if (point_open_ || sampler_.next_due_ns()) return true;
  if (const auto* binary = std::get_if<BinaryBatch>(&batch_)) return !binary->batcher.empty();
  if (const auto* json = std::get_if<JsonBatch>(&batch_)) return !json->batcher.empty();
  return false;
}

// The first line with text decides what the input is, and with it what comes out.
Result<void> TextEncoder::choose_once(std::string_view line) {
  line = can::strip_bom(line);
  if (!std::holds_alternative<std::monostate>(batch_) || trimmed(line).empty()) return {};
  if (source_ == TextSource::kAuto) {
    source_ = trimmed(line).starts_with('{') ? TextSource::kPoints : TextSource::kFrames;
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
  if (std::holds_alternative<std::monostate>(batch_)) {
    if (auto chosen = choose_once(line); !chosen) return chosen;
  }
  if (source_ == TextSource::kPoints) return take_point(cutter_.lines() == 1 ? can::strip_bom(line) : line);
  return reader_.take_line(
      line, cutter_.lines(), arrival_ns,
      [&](const can::CandumpLine& parsed, std::int64_t time_ns) { return take_frame(parsed, time_ns); });
}

Result<void> TextEncoder::take_point(std::string_view line) {
  if (trimmed(line).empty()) return {};
  if (auto parsed = parse_point(json_, line, point_); !parsed) {
    const Error& error = parsed.error();
    return point_faults_.add(cutter_.lines(),
                             error.offset ? fmt::format("{}: at byte {}", error.what, *error.offset) : error.what);
  }
  if (point_.fields.empty()) return point_faults_.add(cutter_.lines(), "a point without fields");
  if (!point_.device_id && options_.defaults.device_id.empty()) {
    return point_faults_.add(cutter_.lines(), "a point without device_id, and no --device-id");
  }
  auto& json = std::get<JsonBatch>(batch_);
  json.encoder.render(point_, point_text_);
  if (auto added = json.batcher.add(sink(), point_.time_ms, point_text_); !added) {
    if (added.error().code != ErrorCode::kBadData) return added;
    return point_faults_.add(cutter_.lines(), added.error().what);
  }
  ++counts_.records;
  return {};
}

Result<void> TextEncoder::take_frame(const can::CandumpLine& line, std::int64_t time_ns) {
  switch (line.frame.kind) {
    case can::Kind::kClassic:
    case can::Kind::kFd: break;
    case can::Kind::kRemote: return leave_out(counts_.remote, "a remote frame has no place in a message");
    case can::Kind::kError: return leave_out(counts_.error, "an error message of the kernel has no place in a message");
    case can::Kind::kXl: return leave_out(counts_.xl, "a CAN XL frame has no place in a message");
  }
  const std::optional<unsigned> bus = bus_of(line.interface);
  if (!bus) return refuse_interface(line.interface);
  if (sampler_.passes_all()) return add(time_ns, *bus, line.frame);
  sampler_.take({time_ns, *bus, line.frame}, due_);
  return take_due();
}

Result<void> TextEncoder::take_due() {
  for (const can::Sample& sample : due_) {
    if (auto added = add(sample.time_ns, sample.bus, sample.frame); !added) return added;
  }
  due_.clear();
  return {};
}

Result<void> TextEncoder::add(std::int64_t time_ns, unsigned bus, const can::Frame& frame) {
  const std::int64_t time_ms = time_ns / kNsPerMs;
  if (auto* binary = std::get_if<BinaryBatch>(&batch_)) return add_frame(*binary, time_ms, bus, frame);
  if (!databases_.empty()) return add_signals(time_ms, bus, frame);
  return add_frame(std::get<JsonBatch>(batch_), time_ms, bus, frame);
}

template <typename AnyBatch>
Result<void> TextEncoder::add_frame(AnyBatch& batch, std::int64_t time_ms, unsigned bus, const can::Frame& frame) {
  if (auto added = batch.batcher.add(sink(), time_ms, bus, frame); !added) return at_line(std::move(added).error());
  ++counts_.records;
  return {};
}

// Signals of one millisecond share a point, until a name would be in it twice.
Result<void> TextEncoder::add_signals(std::int64_t time_ms, unsigned bus, const can::Frame& frame) {
  const can::MessagePlan* const plan = databases_.find(interface_of_bus_[bus], bus, frame);
  if (plan == nullptr) return ++counts_.unknown, Result<void>();
  plan->decode(frame, decoding_);
  if (!decoding_.is_complete()) ++counts_.partial;
  if (decoding_.values.empty()) return {};
  const auto repeats = [&](const can::SignalValue& value) {
    return *field_name(plan->message(), *value.plan).last_point == point_number_;
  };
  if (point_open_ &&
      (point_.time_ms != time_ms || std::any_of(decoding_.values.begin(), decoding_.values.end(), repeats))) {
    if (auto ended = end_point(); !ended) return ended;
  }
  if (!point_open_) {
    point_ = Point{};
    point_.time_ms = time_ms;
    point_open_ = true;
    ++point_number_;
  }
  for (const can::SignalValue& value : decoding_.values) {
    const FieldName name = field_name(plan->message(), *value.plan);
    *name.last_point = point_number_;
    Field& field = point_.fields.emplace_back(*name.text, "");
    can::append_physical(field.value, *value.plan, value.raw);
    const auto choice = options_.choices ? can::find_choice(value.plan->signal(), value.raw) : std::nullopt;
    if (choice) json::append_string(point_.fields.emplace_back(*name.text + "_text", "").value, *choice);
  }
  ++counts_.records;
  return {};
}

Result<void> TextEncoder::end_point() {
  if (!std::exchange(point_open_, false)) return {};
  auto& json = std::get<JsonBatch>(batch_);
  json.encoder.render(point_, point_text_);
  if (auto added = json.batcher.add(sink(), point_.time_ms, point_text_); !added)
    return at_line(std::move(added).error());
  return {};
}

TextEncoder::FieldName TextEncoder::field_name(const can::Message& message, const can::SignalPlan& signal) {
  if (const auto known = field_names_.find(&signal); known != field_names_.end()) return known->second;
  const std::string_view name = signal.signal().name;
  const bool is_long = options_.names == SignalNames::kLong || databases_.is_ambiguous(name);
  const auto [place, is_new] =
      last_points_.try_emplace(is_long ? fmt::format("{}.{}", message.name, name) : std::string(name), 0);
  const FieldName field{&place->first, &place->second};
  field_names_.emplace(&signal, field);
  return field;
}

// Looked up once for each name: a log has few interfaces and millions of frames.
std::optional<unsigned> TextEncoder::bus_of(std::string_view interface) {
  for (const auto& [name, bus] : known_interfaces_) {
    if (is_same_name(name, interface)) return bus;
  }
  const auto bus = options_.buses.bus_of(interface);
  if (bus) {
    std::string& before = interface_of_bus_[*bus];
    if (!before.empty() && counts_.shared_bus.empty()) {
      counts_.shared_bus = fmt::format("{} and {} are both bus {}", printable(before), printable(interface), *bus);
    }
    before = interface;
  }
  if (known_interfaces_.size() < kMaxKnownInterfaces) known_interfaces_.emplace_back(interface, bus);
  return bus;
}

Result<void> TextEncoder::refuse_interface(std::string_view name) {
  if (options_.frames.strict) {
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
  if (options_.frames.strict) return at_line({ErrorCode::kBadData, std::string(what), {}, std::nullopt});
  ++count;
  return {};
}

tl::unexpected<Error> TextEncoder::at_line(Error error) const {
  error.offset.reset();
  return tl::make_unexpected(std::move(error).in(fmt::format("line {}", cutter_.lines())));
}

}  // namespace fieldpipe::flexconnect
