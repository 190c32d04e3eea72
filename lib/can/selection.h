// SPDX-License-Identifier: MIT
// Which frames are kept, and how many a second: --select and --sample-rate, as the message list and the sample rate of
// a FlexConnect device say it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "can/dbc.h"
#include "can/frame.h"
#include "core/result.h"

namespace fieldpipe::can {

// Samples a second, in millionths, so that 0.1 is exact.
class Rate {
 public:
  // A decimal number above 0 and up to 1000000 with at most 6 places: `10`, `0.5`. Fails with kUsage.
  static Result<Rate> parse(std::string_view text);

  // The interval that `time_ns` lies in: first ns of it, and of the next. Intervals follow each other without a gap
  // from 1970 on; where their length is no whole number of ns they differ by 1.
  struct Interval {
    std::int64_t begin_ns;
    std::int64_t end_ns;
  };
  [[nodiscard]] Interval interval_at(std::int64_t time_ns) const;

  bool operator==(const Rate&) const = default;

 private:
  std::uint64_t millionths_ = 1'000'000;
};

// One --select: frames of an identifier, or of the messages with a name.
struct SelectRule {
  std::string name;  // empty: by identifier
  std::uint32_t id = 0;
  bool extended = false;
  std::optional<Rate> rate;  // not set: that of --sample-rate, else all frames
};

// Parses `ID`, `NAME`, `ID:RATE` or `NAME:RATE`. An identifier is hex digits behind 0x, or 3 or 8 of them that begin
// with a decimal digit, as candump prints them: `0x123`, `123`, `18FEF100`. It has 29 bits if it has 8 digits or is
// above 7FF. All else is a name. Fails with kUsage.
Result<SelectRule> parse_select(std::string_view text);

// Parses the text of a file of them (--select @FILE): one a line, blank lines and what follows a # ignored. Fails with
// kUsage and the number of the line.
Result<std::vector<SelectRule>> parse_select_list(std::string_view text);

// A frame on its way through a Sampler.
struct Sample {
  std::int64_t time_ns;  // since 1970
  std::uint32_t bus;     // the caller's number for it
  Frame frame;
};

// Keeps the frames that rules select, and of those with a rate the newest one of each interval. It comes out as soon as
// time has passed the end of its interval, so it is held back for an interval at most. Each identifier of each bus is
// sampled for itself. Only data frames of kind kClassic and kFd pass.
//
//   Sampler sampler;
//   sampler.limit(rate);                             // --sample-rate
//   sampler.add(rule, databases);                    // for each --select
//   std::vector<Sample> due;
//   sampler.take({time_ns, bus, frame}, due);        // for each frame; then write what is due, and clear it
//   sampler.finish(due);                             // at the end
class Sampler {
 public:
  // Identifiers that are sampled at once; frames of more than that pass without a rate.
  static constexpr std::size_t kMaxStreams = 65'536;

  // The rate of all that has none of its own.
  void limit(Rate rate) { limit_ = rate; }

  // Selects; without any rule all frames pass. A name is looked up in all `databases` and selects every message of that
  // name. Of rules for one identifier the last one holds. Fails with kUsage when no database has the name.
  Result<void> add(const SelectRule& rule, std::span<const Database* const> databases);

  // Whether take() would give all frames back at once, so that there is no need to call it.
  [[nodiscard]] bool passes_all() const { return selected_.empty() && !limit_; }

  // Takes a frame. Appends to `due` what time has made due, by time, and then the frame itself if it has no rate.
  void take(const Sample& sample, std::vector<Sample>& due);

  // Appends what is due at `now_ns`, by time. For a live bus that has gone quiet.
  void release(std::int64_t now_ns, std::vector<Sample>& due);

  // When release() would next give something; nothing if none is held back.
  [[nodiscard]] std::optional<std::int64_t> next_due_ns() const;

  // Appends all that is held back, by time.
  void finish(std::vector<Sample>& due) { release(kNever, due); }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  // The frames of one identifier on one bus.
  struct Stream {
    Rate rate;
    Rate::Interval interval{0, 0};
    bool holds = false;
    Sample newest;
  };

  std::optional<Rate> limit_;
  std::unordered_map<std::uint32_t, std::optional<Rate>> selected_;  // by identifier, bit 31 for 29 bits
  std::unordered_map<std::uint64_t, Stream> streams_;                // by bus and identifier
  std::int64_t next_due_ns_ = kNever;
};

}  // namespace fieldpipe::can
