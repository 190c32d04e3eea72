// SPDX-License-Identifier: MIT
// Whatever a database holds, its plans decode frames of every length, what they leave out is counted and can be
// listed, and what they print is UTF-8. The last 64 bytes of the input are the frame.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "can/signal.h"
#include "core/text.h"

using namespace fieldpipe::can;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void decode(const MessagePlan& plan, Frame frame, Decoding& decoding, std::string& out) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{8}, kMaxFdBytes}) {
    frame.length_bytes = static_cast<std::uint8_t>(length);
    plan.decode(frame, decoding);
    const std::size_t counted = decoding.beyond_frame + decoding.unknown_multiplexer + decoding.not_finite;
    require(plan.left_out(frame).size() == counted);
    require(decoding.values.size() <= plan.signals().size());
    out.clear();
    append_members(out, decoding);
    require(!fieldpipe::find_invalid_utf8(out));
    for (const SignalValue& value : decoding.values) {
      require(value.plan->signal().end_byte() <= length);
      find_choice(value.plan->signal(), value.raw);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Frame frame{};
  frame.kind = Kind::kFd;
  const std::size_t tail = std::min(size, kMaxFdBytes);
  if (tail > 0) std::memcpy(frame.data.data(), data + size - tail, tail);
  const auto database = parse_dbc(std::string(reinterpret_cast<const char*>(data), size));
  if (!database) return 0;
  require(database->diagnostics.size() <= database->diagnostic_count);
  for (const Diagnostic& diagnostic : database->diagnostics)
    require(fieldpipe::printable(diagnostic.what, 10'000) == diagnostic.what);
  const auto plans = make_plans(*database);
  MessageTable table;
  Decoding decoding;
  std::string out;
  for (const MessagePlan& plan : plans) {
    require(table.add(plan) == nullptr);
    require(!plan.message().matchable || table.find(plan.message().id, plan.message().extended) == &plan);
    decode(plan, frame, decoding, out);
  }
  return 0;
}
