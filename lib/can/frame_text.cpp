// SPDX-License-Identifier: MIT
#include "can/frame_text.h"

#include <algorithm>
#include <array>

#include <fmt/compile.h>
#include <fmt/format.h>

#include "can/candump.h"
#include "can/j1939.h"
#include "core/bytes.h"
#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::can {
namespace {

constexpr std::string_view kRawCsvHeader = "time,bus,id,extended,fd,dlc,data,message_number,kind\n";
constexpr std::string_view kSignalCsvHeader = "time,bus,message,signal,value,unit\n";

std::string_view truth(bool value) { return value ? "true" : "false"; }

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kRemote: return "remote";
    case Kind::kError: return "error";
    default: return "data";
  }
}

void append_number(std::string& out, std::uint64_t number) {
  const fmt::format_int digits(number);
  out.append(digits.data(), digits.size());
}

void append_seconds(std::string& out, const Moment& time) {
  constexpr std::array<std::uint32_t, 10> kCut{0, 0, 0, 1'000'000, 0, 0, 1'000, 0, 0, 1};
  append_number(out, static_cast<std::uint64_t>(time.seconds));
  std::array<char, 10> text{'.'};
  std::uint32_t fraction = time.nanoseconds / kCut[time.digits];
  for (std::size_t i = time.digits; i > 0; --i, fraction /= 10) text[i] = static_cast<char>('0' + fraction % 10);
  out.append(text.data(), time.digits + 1U);
}

// `"time":1622547800.000,"bus":1,"id":291,"extended":false` behind a brace.
void append_head(std::string& out, const TimedFrame& frame) {
  out += R"({"time":)";
  append_seconds(out, frame.time);
  if (frame.bus) {
    out += R"(,"bus":)";
    append_number(out, *frame.bus);
  } else {
    out += R"(,"interface":)";
    json::append_string(out, frame.interface);
  }
  out += R"(,"id":)";
  append_number(out, frame.frame.id);
  out += frame.frame.extended ? R"(,"extended":true)" : R"(,"extended":false)";
}

void append_tail(std::string& out, const TimedFrame& frame) {
  if (frame.message_number > 0) {
    out += R"(,"message_number":)";
    append_number(out, frame.message_number);
  }
  out += frame.members;
  out += "}\n";
}

// The bus number, or the interface where it has none.
void append_bus(std::string& out, const TimedFrame& frame) {
  if (frame.bus) {
    append_number(out, *frame.bus);
  } else {
    out += frame.interface;
  }
}

// RFC 4180: quoted where it has to be.
void append_csv(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  out += '"';
}

// Names in line protocol: commas, equal signs and spaces have a backslash in front (InfluxDB: line protocol reference,
// special characters). A line feed cannot be written.
void append_influx(std::string& out, std::string_view name) {
  for (const char c : name) {
    if (c == ',' || c == '=' || c == ' ') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
}

std::string_view reason_of(Omission why) {
  switch (why) {
    case Omission::kBeyondFrame: return "beyond the frame";
    case Omission::kUnknownMultiplexer: return "unknown multiplexer value";
    case Omission::kNotFinite: return "not a number";
  }
  return "";
}

}  // namespace

Result<FrameWriter> FrameWriter::create(FrameWriterOptions options, Databases& databases) {
  const bool named = !databases.empty();
  if (named && options.format == FrameFormat::kCandump) {
    return fail(ErrorCode::kUsage, "a candump log holds no signals", "--to ndjson, csv or influx");
  }
  if (!named && options.format == FrameFormat::kInflux) {
    return fail(ErrorCode::kUsage, "line protocol needs the names of signals", "--dbc FILE");
  }
  if (!named && (options.flat || options.choices || options.units || options.unknown || options.source_address ||
                 !options.only.empty())) {
    return fail(ErrorCode::kUsage, "--flat, --choices, --units, --unknown, --j1939 and --only need a database",
                "--dbc FILE");
  }
  if ((options.flat || options.choices || options.units) && options.format != FrameFormat::kNdjson) {
    return fail(ErrorCode::kUsage, "--flat, --choices and --units are for NDJSON", "--to ndjson");
  }
  for (const std::string& wanted : options.only) {
    const std::string_view message = std::string_view(wanted).substr(0, wanted.find('.'));
    const std::string_view signal = std::string_view(wanted).substr(std::min(message.size() + 1, wanted.size()));
    bool found = false;
    for (const Database* database : databases.all()) {
      for (const Message& candidate : database->messages) {
        found = found || (candidate.name == message &&
                          (signal.empty() || std::any_of(candidate.signals.begin(), candidate.signals.end(),
                                                         [&](const Signal& s) { return s.name == signal; })));
      }
    }
    if (!found)
      return fail(ErrorCode::kUsage, fmt::format("--only {}: no database has it", printable(wanted)),
                  "--list prints what there is");
  }
  return FrameWriter(std::move(options), databases);
}

std::string_view FrameWriter::header() const {
  if (options_.format != FrameFormat::kCsv) return {};
  return databases_->empty() ? kRawCsvHeader : kSignalCsvHeader;
}

Result<void> FrameWriter::write(std::string& out, const TimedFrame& frame) {
  const bool in_ns = options_.format == FrameFormat::kCandump || options_.format == FrameFormat::kInflux;
  if (in_ns && frame.time.seconds > kMaxCandumpSeconds) {
    return fail(ErrorCode::kBadData,
                fmt::format("time {} s is after 2262, which this format cannot hold", frame.time.seconds),
                "--to ndjson");
  }
  if (databases_->empty()) {
    write_raw(out, frame);
    return {};
  }
  const MessagePlan* const plan = databases_->find(frame.interface, frame.bus, frame.frame);
  if (plan != nullptr) {
    write_signals(out, frame, *plan);
  } else if (options_.unknown && options_.format == FrameFormat::kNdjson) {
    write_raw(out, frame);
  } else {
    ++unknown_;
  }
  return {};
}

void FrameWriter::write_raw(std::string& out, const TimedFrame& timed) const {
  const Frame& frame = timed.frame;
  if (options_.format == FrameFormat::kCandump) {
    append_candump(out, timed.time.seconds * 1'000'000'000 + timed.time.nanoseconds, timed.interface, frame);
    return;
  }
  if (options_.format == FrameFormat::kCsv) {
    append_seconds(out, timed.time);
    out += ',';
    append_bus(out, timed);
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(",{},{},{},{},"), frame.id, truth(frame.extended),
                   truth(frame.kind == Kind::kFd), frame.dlc);
    append_hex(out, frame.payload());
    out += ',';
    if (timed.message_number > 0) append_number(out, timed.message_number);
    out += ',';
    out += kind_name(frame.kind);
    out += '\n';
    return;
  }
  append_head(out, timed);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"(,"fd":{},"dlc":{},"data":")"), truth(frame.kind == Kind::kFd),
                 frame.dlc);
  append_hex(out, frame.payload());
  out += '"';
  if (frame.kind == Kind::kRemote) out += R"(,"remote":true)";
  if (frame.kind == Kind::kError) out += R"(,"error":true)";
  append_tail(out, timed);
}

void FrameWriter::write_signals(std::string& out, const TimedFrame& frame, const MessagePlan& plan) {
  plan.decode(frame.frame, decoding_);
  if (!decoding_.is_complete()) ++partial_;
  if (!options_.only.empty()) {
    std::erase_if(decoding_.values,
                  [&](const SignalValue& value) { return !is_wanted(plan.message(), value.plan->signal()); });
    if (decoding_.values.empty()) return;
  }
  switch (options_.format) {
    case FrameFormat::kCsv: return write_csv(out, frame, plan);
    case FrameFormat::kInflux: return write_influx(out, frame, plan);
    default: return options_.flat ? write_flat(out, frame, plan) : write_object(out, frame, plan);
  }
}

// Whether --only, if it is given, names the signal or its message.
bool FrameWriter::is_wanted(const Message& message, const Signal& signal) const {
  return options_.only.empty() || std::any_of(options_.only.begin(), options_.only.end(), [&](std::string_view wanted) {
           if (!wanted.starts_with(message.name)) return false;
           wanted.remove_prefix(message.name.size());
           return wanted.empty() || (wanted[0] == '.' && wanted.substr(1) == signal.name);
         });
}

void FrameWriter::write_object(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const {
  append_head(out, frame);
  out += R"(,"message":)";
  json::append_string(out, plan.message().name);
  out += R"(,"signals":{)";
  append_members(out, decoding_);
  out += '}';
  // An object of texts by signal name, where there are any.
  const auto append_texts = [&](std::string_view key, auto text_of) {
    bool first = true;
    for (const SignalValue& value : decoding_.values) {
      const std::optional<std::string_view> text = text_of(value);
      if (!text) continue;
      out += first ? key : std::string_view(",");
      first = false;
      out += value.plan->key();
      json::append_string(out, *text);
    }
    if (!first) out += '}';
  };
  if (options_.choices) {
    append_texts(R"(,"choices":{)",
                 [](const SignalValue& value) { return find_choice(value.plan->signal(), value.raw); });
  }
  if (options_.units) {
    append_texts(R"(,"units":{)", [](const SignalValue& value) {
      const std::string_view unit = value.plan->signal().unit;
      return unit.empty() ? std::nullopt : std::optional(unit);
    });
  }
  if (!decoding_.is_complete()) {
    std::string_view separator = R"(,"left_out":{)";
    for (const LeftOut& left_out : plan.left_out(frame.frame)) {
      if (!is_wanted(plan.message(), *left_out.signal)) continue;
      out += std::exchange(separator, ",");
      json::append_string(out, left_out.signal->name);
      out += ':';
      json::append_string(out, reason_of(left_out.why));
    }
    if (separator == ",") out += '}';
  }
  if (options_.source_address && frame.frame.extended) {
    out += R"(,"source":)";
    append_number(out, source_address_of(frame.frame.id));
  }
  append_tail(out, frame);
}

void FrameWriter::write_flat(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const {
  for (const SignalValue& value : decoding_.values) {
    const Signal& signal = value.plan->signal();
    append_head(out, frame);
    out += R"(,"message":)";
    json::append_string(out, plan.message().name);
    out += R"(,"signal":)";
    json::append_string(out, signal.name);
    out += R"(,"value":)";
    append_physical(out, *value.plan, value.raw);
    if (options_.units && !signal.unit.empty()) {
      out += R"(,"unit":)";
      json::append_string(out, signal.unit);
    }
    if (const auto text = options_.choices ? find_choice(signal, value.raw) : std::nullopt) {
      out += R"(,"choice":)";
      json::append_string(out, *text);
    }
    if (options_.source_address && frame.frame.extended) {
      out += R"(,"source":)";
      append_number(out, source_address_of(frame.frame.id));
    }
    append_tail(out, frame);
  }
}

void FrameWriter::write_csv(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const {
  for (const SignalValue& value : decoding_.values) {
    append_seconds(out, frame.time);
    out += ',';
    append_bus(out, frame);
    out += ',';
    append_csv(out, plan.message().name);
    out += ',';
    append_csv(out, value.plan->signal().name);
    out += ',';
    append_physical(out, *value.plan, value.raw);
    out += ',';
    append_csv(out, value.plan->signal().unit);
    out += '\n';
  }
}

void FrameWriter::write_influx(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const {
  // A line needs a field.
  if (decoding_.values.empty()) return;
  append_influx(out, plan.message().name);
  out += frame.bus ? ",bus=" : ",interface=";
  if (frame.bus) {
    append_number(out, *frame.bus);
  } else {
    append_influx(out, frame.interface);
  }
  if (options_.source_address && frame.frame.extended) {
    out += ",source=";
    append_number(out, source_address_of(frame.frame.id));
  }
  char separator = ' ';
  for (const SignalValue& value : decoding_.values) {
    out += std::exchange(separator, ',');
    append_influx(out, value.plan->signal().name);
    out += '=';
    append_physical(out, *value.plan, value.raw);
  }
  out += ' ';
  append_number(out, static_cast<std::uint64_t>(frame.time.seconds) * 1'000'000'000 + frame.time.nanoseconds);
  out += '\n';
}

}  // namespace fieldpipe::can
