// SPDX-License-Identifier: MIT
// When a FlexConnect message ends and the next begins: one rule for binary and JSON messages.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "core/result.h"

namespace fieldpipe::flexconnect {

// The platform takes messages of 100 KB; the documentation does not say before or after compression, so it is before.
inline constexpr std::size_t kDefaultMaxMessageBytes = 100'000;

struct BatchLimits {
  std::size_t max_bytes = kDefaultMaxMessageBytes;  // of a message before compression
  std::chrono::milliseconds interval{1000};         // of frame time; 0: every record is a message
  std::uint64_t max_records = 0;                    // frames or points in a message; 0: any number
};

// Feeds records to an encoder and hands each finished message to a sink. A message ends
//
//   before a record that would take it above max_bytes, or that belongs to another device (Encoder::accepts());
//   before a record whose time is `interval` or more after the first record's, or more than `interval` before it: time
//   that jumps back, as when a clock is set, must not keep a message open for as long as it jumped;
//   after its max_records-th record;
//   when close() is called: end of input, silence, a signal.
//
// So no message is empty, and the messages depend on nothing but the records and the calls of close(). `Encoder` is
// BinaryEncoder or JsonEncoder; a sink is `Result<void>(message)` and its failures are passed on.
template <typename Encoder>
class Batcher {
 public:
  // The encoder must outlive the batcher and have no message begun.
  Batcher(Encoder& encoder, BatchLimits limits) : encoder_(encoder), limits_(limits) {}

  // Adds what Encoder::add(time_ms, record...) takes. `time_ms` is not negative. Fails with kBadData, adding nothing,
  // when the record alone makes a message above max_bytes.
  template <typename Sink, typename... Record>
  Result<void> add(Sink&& sink, std::int64_t time_ms, const Record&... record) {
    std::size_t size = encoder_.size_with(time_ms, record...);
    if (!encoder_.empty() && (size > limits_.max_bytes || !is_near(time_ms) || !encoder_.accepts(time_ms, record...))) {
      if (auto closed = close(sink); !closed) return closed;
      size = encoder_.size_with(time_ms, record...);
    }
    if (size > limits_.max_bytes) return too_large(size);
    if (encoder_.empty()) first_ms_ = time_ms;
    encoder_.add(time_ms, record...);
    ++records_;
    if (records_ == limits_.max_records) return close(sink);
    return {};
  }

  // Ends the message begun, if there is one.
  template <typename Sink>
  Result<void> close(Sink&& sink) {
    if (encoder_.empty()) return {};
    Result<void> taken = sink(encoder_.finish());
    encoder_.clear();
    records_ = 0;
    return taken;
  }

  // Whether there is a message begun, which a caller must not let wait for ever.
  [[nodiscard]] bool empty() const { return encoder_.empty(); }

 private:
  [[nodiscard]] bool is_near(std::int64_t time_ms) const {
    const std::int64_t interval = limits_.interval.count();
    return time_ms >= first_ms_ ? time_ms - first_ms_ < interval : first_ms_ - time_ms <= interval;
  }

  // Out of the way of the loop.
  [[gnu::cold]] Result<void> too_large(std::size_t size) const {
    return fail(ErrorCode::kBadData,
                fmt::format("one record alone makes a message of {} bytes, the limit is {}", size, limits_.max_bytes),
                "raise --max-bytes");
  }

  Encoder& encoder_;
  BatchLimits limits_;
  std::int64_t first_ms_ = 0;  // of the message begun
  std::uint64_t records_ = 0;  // in it
};

}  // namespace fieldpipe::flexconnect
