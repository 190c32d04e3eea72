// SPDX-License-Identifier: MIT
// Points that a message gives make messages that give the same points.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "flexconnect/json_message.h"
#include "flexconnect/message.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flexconnect::Unwrapper unwrapper(std::size_t{1} << 20U);
  const auto message = unwrapper.unwrap(std::as_bytes(std::span(data, size)));
  if (!message || message->form != flexconnect::Form::kJson) return 0;
  flexconnect::JsonDecoder decoder;
  if (!decoder.open(as_text(message->body))) return 0;

  flexconnect::JsonEncoder encoder({});
  flexconnect::PointText text;
  std::vector<flexconnect::Point> points;
  flexconnect::Point point;
  for (auto more = decoder.next(point); more && *more; more = decoder.next(point)) {
    encoder.render(point, text);
    if (!encoder.accepts(point.time_ms, text)) std::abort();
    const std::size_t expected = encoder.size_with(point.time_ms, text);
    encoder.add(point.time_ms, text);
    if (encoder.finish().size() != expected) std::abort();
    // The encoder writes what may be missing.
    if (!point.device_id) point.device_id.emplace();
    if (!point.message_tags) point.message_tags.emplace();
    points.push_back(point);
  }
  if (points.empty()) return 0;

  if (!decoder.open(encoder.finish())) std::abort();
  for (const flexconnect::Point& expected : points) {
    const auto more = decoder.next(point);
    if (!more || !*more || point != expected) std::abort();
  }
  const auto more = decoder.next(point);
  if (!more || *more) std::abort();
  return 0;
}
