// SPDX-License-Identifier: MIT
// Where the messages to publish come from: one payload, perhaps several times, or the records of a stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "core/clock.h"
#include "core/result.h"
#include "io/input.h"
#include "io/loop.h"
#include "json/reader.h"
#include "publisher/supply.h"
#include "record/envelope.h"
#include "record/framing.h"

namespace fieldpipe::publisher {

class Source final : public Supply {
 public:
  // `payload`, `times` times, `delay` apart.
  static Source repeated(std::string payload, std::uint64_t times, std::chrono::nanoseconds delay);

  // The records of `input`.
  static Source records(io::Input input, record::Framing framing, std::size_t max_record_bytes);

  // The same, each line an envelope (record/envelope.h).
  static Source envelopes(io::Input input, std::size_t max_record_bytes);

  Result<std::optional<Record>> next() override;
  [[nodiscard]] bool at_end() const override;
  [[nodiscard]] std::uint64_t number() const override { return count_; }  // from 1
  [[nodiscard]] int descriptor() const override;
  [[nodiscard]] std::optional<MonotonicTime> ready_at() const override;
  Result<void> read_more() override;

 private:
  struct Repeated {
    std::string payload;
    std::uint64_t left;
    std::chrono::nanoseconds delay;
    MonotonicTime ready_at{};
  };
  struct Stream {
    io::Input input;
    record::Splitter splitter;
    std::size_t used_bytes = 0;          // of the window, by the record given last
    std::optional<json::Reader> reader;  // for envelopes
    record::Envelope envelope;
  };
  explicit Source(std::variant<Repeated, Stream> kind) : kind_(std::move(kind)) {}
  Result<std::optional<Record>> next(Repeated& repeated);
  Result<std::optional<Record>> next(Stream& stream);

  std::variant<Repeated, Stream> kind_;
  std::uint64_t count_ = 0;
};

// All of `input` as one payload of at most `max_bytes`, for -f and -s. Nothing when a stop signal
// came first. Fails with kBadData above the limit, and with kIo.
Result<std::optional<std::string>> read_whole(io::Loop& loop, io::Input& input, std::size_t max_bytes);

}  // namespace fieldpipe::publisher
