// SPDX-License-Identifier: MIT
// Lines of candump or of an ASC file to frames with their time of day.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "can/asc.h"
#include "can/candump.h"
#include "can/line_time.h"
#include "core/result.h"
#include "record/lines.h"

namespace fieldpipe::can {

struct FrameReaderOptions {
  LineTimeRules times;
  bool strict = false;  // a line that is no frame and no note is an error
};

// What became of the lines that gave no frame.
struct FrameReaderCounts {
  std::uint64_t dropped = 0;  // frames that candump itself says it has lost
  std::uint64_t early = 0;    // frames stamped before 1991: a clock that was never set
};

// Reads one input after another, each from its first line to its last. Which of the two texts it is shows in its first
// line that is not empty.
class FrameReader {
 public:
  explicit FrameReader(FrameReaderOptions options)
      : options_(std::move(options)), time_(options_.times), faults_(options_.strict) {}

  // The next line is the first of another input.
  void begin_input() {
    first_ = true;
    asc_.reset();
  }

  // Reads line `number` of what all inputs have together; a line without a time happened at `arrival_ns` (since 1970).
  // Each frame, of any kind, goes to `sink(line, time_ns)`, which gives a Result<void>; its views hold until the next
  // call. Fails with kBadData for a relative time nobody explained and, when strict, for a line that is no good, naming
  // the line; and with what the sink says.
  template <typename Sink>
  Result<void> take_line(std::string_view text, std::uint64_t number, std::int64_t arrival_ns, Sink&& sink) {
    if (first_) text = begin(text);
    switch (asc_ ? asc_->parse(text, line_) : parse_candump(text, line_)) {
      case LineClass::kFrame: break;
      case LineClass::kNote: return {};
      case LineClass::kDropCount: counts_.dropped += line_.dropped_frames; return {};
      case LineClass::kBad: return refuse(number);
    }
    std::int64_t time_ns = line_.time_ns;
    if (line_.time_base != TimeBase::kAbsolute) {
      auto time = of_other_base(arrival_ns);
      if (!time) return tl::make_unexpected(std::move(time).error().in(fmt::format("line {}", number)));
      time_ns = *time;
    }
    if (time_ns < kFirstPlausibleNs) {
      if (time_ns < 0) return faults_.add(number, "a time before 1970");
      ++counts_.early;
    }
    return sink(std::as_const(line_), time_ns);
  }

  // For a line that is too long to be looked at.
  Result<void> refuse_long(std::uint64_t number) { return faults_.add(number, "longer than the limit of 8KiB"); }

  [[nodiscard]] const FrameReaderCounts& counts() const { return counts_; }
  [[nodiscard]] const record::LineFaults& faults() const { return faults_; }

 private:
  // 1991-01-01: no CAN log is older, so the clock was never set (the border that cantools uses too).
  static constexpr std::int64_t kFirstPlausibleNs = 662'688'000'000'000'000;

  std::string_view begin(std::string_view text);
  Result<void> refuse(std::uint64_t number);
  Result<std::int64_t> of_other_base(std::int64_t arrival_ns);

  FrameReaderOptions options_;
  LineTime time_;
  std::optional<AscParser> asc_;
  bool first_ = true;
  CandumpLine line_;
  FrameReaderCounts counts_;
  record::LineFaults faults_;
};

}  // namespace fieldpipe::can
