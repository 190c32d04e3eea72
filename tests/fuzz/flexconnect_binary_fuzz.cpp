// SPDX-License-Identifier: MIT
// Readings that a message gives encode to a message that gives the same readings.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "flexconnect/binary.h"
#include "flexconnect/message.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flexconnect::Unwrapper unwrapper(std::size_t{1} << 20U);
  const auto message = unwrapper.unwrap(std::as_bytes(std::span(data, size)));
  if (!message || message->form != flexconnect::Form::kBinary) return 0;
  auto decoder = flexconnect::BinaryDecoder::open(message->body);
  if (!decoder) return 0;

  struct Reading {
    std::int64_t time_ms;
    unsigned bus;
    can::Frame frame;
  };
  std::vector<Reading> readings;
  flexconnect::BinaryEncoder encoder(decoder->token());
  for (auto more = decoder->next_point(); more && *more; more = decoder->next_point()) {
    Reading reading{decoder->time_ms(), 0, {}};
    while (decoder->next_reading(reading.bus, reading.frame)) {
      if (!flexconnect::is_data_frame(reading.frame)) continue;
      const std::size_t expected = encoder.size_with(reading.time_ms, reading.bus, reading.frame);
      encoder.add(reading.time_ms, reading.bus, reading.frame);
      if (encoder.finish().size() != expected) std::abort();
      readings.push_back(reading);
    }
  }

  auto again = flexconnect::BinaryDecoder::open(encoder.finish());
  if (!again || again->token() != decoder->token()) std::abort();
  auto expected = readings.begin();
  auto more = again->next_point();
  for (; more && *more; more = again->next_point()) {
    Reading reading{again->time_ms(), 0, {}};
    for (; again->next_reading(reading.bus, reading.frame); ++expected) {
      if (expected == readings.end() || reading.time_ms != expected->time_ms || reading.bus != expected->bus ||
          reading.frame.id != expected->frame.id || reading.frame.extended != expected->frame.extended ||
          // A length that was a count of bytes comes back padded.
          !as_text(reading.frame.payload()).starts_with(as_text(expected->frame.payload()))) {
        std::abort();
      }
    }
  }
  if (!more || expected != readings.end() || again->used_byte_counts()) std::abort();
  return 0;
}
