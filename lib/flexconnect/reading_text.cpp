// SPDX-License-Identifier: MIT
#include "flexconnect/reading_text.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include "can/candump.h"
#include "core/bytes.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

std::string_view kind_name(can::Kind kind) {
  switch (kind) {
    case can::Kind::kRemote: return "remote";
    case can::Kind::kError: return "error";
    default: return "data";
  }
}

// Seconds with exactly three decimals, which is all the precision a point has.
void append_seconds(std::string& out, std::int64_t time_ms) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}.{:03}"), time_ms / 1000, time_ms % 1000);
}

std::string_view truth(bool value) { return value ? "true" : "false"; }

}  // namespace

void append_ndjson(std::string& out, const Reading& reading, std::string_view members) {
  const can::Frame& frame = reading.frame;
  out += R"({"time":)";
  append_seconds(out, reading.time_ms);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"(,"bus":{},"id":{},"extended":{},"fd":{},"dlc":{},"data":")"),
                 reading.bus, frame.id, truth(frame.extended), truth(frame.kind == can::Kind::kFd), frame.dlc);
  append_hex(out, frame.payload());
  out += '"';
  if (frame.kind == can::Kind::kRemote) out += R"(,"remote":true)";
  if (frame.kind == can::Kind::kError) out += R"(,"error":true)";
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"(,"message_number":{}{}}})"), reading.message_number, members);
  out += '\n';
}

void append_csv(std::string& out, const Reading& reading) {
  const can::Frame& frame = reading.frame;
  append_seconds(out, reading.time_ms);
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(",{},{},{},{},{},"), reading.bus, frame.id, truth(frame.extended),
                 truth(frame.kind == can::Kind::kFd), frame.dlc);
  append_hex(out, frame.payload());
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(",{},{}\n"), reading.message_number, kind_name(frame.kind));
}

void append_candump(std::string& out, const Reading& reading, std::string_view interface) {
  can::append_candump(out, reading.time_ms * kNsPerMs, interface, reading.frame);
}

}  // namespace fieldpipe::flexconnect
