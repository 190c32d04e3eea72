// SPDX-License-Identifier: MIT
// Frames as text, one a line: raw, or as the signals that a database finds in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "can/databases.h"
#include "can/frame.h"
#include "can/signal.h"
#include "core/result.h"

namespace fieldpipe::can {

// A time of day with the digits behind the second that mean something. Holds what a FlexConnect message can, which is
// far more than fits 64 bits of nanoseconds.
struct Moment {
  std::int64_t seconds = 0;  // since 1970, not negative
  std::uint32_t nanoseconds = 0;
  std::uint8_t digits = 3;  // printed: 3, 6 or 9

  static Moment of_ms(std::int64_t ms) { return {ms / 1000, static_cast<std::uint32_t>(ms % 1000) * 1'000'000, 3}; }
  // Six digits, or nine where they say more.
  static Moment of_ns(std::int64_t ns) {
    const auto rest = static_cast<std::uint32_t>(ns % 1'000'000'000);
    return {ns / 1'000'000'000, rest, static_cast<std::uint8_t>(rest % 1000 == 0 ? 6 : 9)};
  }
};

// A frame with its place in a stream. A view, except for the frame.
struct TimedFrame {
  Moment time;
  std::string_view interface;
  std::optional<unsigned> bus;       // not every interface has a number
  std::uint64_t message_number = 0;  // of the FlexConnect message it came in, from 1; 0: it came by itself
  std::string_view members;          // put behind the last member of NDJSON lines; empty or begins with a comma
  Frame frame{};
};

enum class FrameFormat : std::uint8_t {
  kNdjson,
  kCandump,  // the log form; not with a database
  kCsv,
  kInflux,  // InfluxDB line protocol; only with a database
};

struct FrameWriterOptions {
  FrameFormat format = FrameFormat::kNdjson;
  bool flat = false;                // NDJSON: a line for each signal
  bool choices = false;             // NDJSON: texts of values beside the numbers
  bool units = false;               // NDJSON: units beside the numbers
  bool unknown = false;             // frames that no database knows, as raw lines
  bool source_address = false;      // NDJSON and line protocol: that of J1939
  std::vector<std::string> only{};  // MESSAGE or MESSAGE.SIGNAL; empty: all
};

// Prints frames. Without a database each is one line:
//
//   {"time":1622547800.000,"bus":1,"id":291,"extended":false,"fd":false,"dlc":8,"data":"0102030405060708","message_number":1}
//
// with "interface" in place of "bus" for one without a number, and "remote":true or "error":true for those kinds.
// With databases it is what they find in it:
//
//   {"time":1622547800.000,"bus":1,"id":291,"extended":false,"message":"Engine","signals":{"Speed":12.5,"Gear":3}}
//
// followed by "choices":{"Gear":"third"}, "units":{"Speed":"km/h"}, "source":12 where they are asked for, and
// "left_out":{"Torque":"beyond the frame"} for signals that a short frame or a multiplexor of unknown value cannot
// give. CSV then has one line for each signal. Line protocol has one for each frame: the message is the measurement,
// the bus (and source) are tags, signals are fields; all numbers are floats, so that no field changes its type.
class FrameWriter {
 public:
  // `databases` must outlive the writer; without any, frames are raw. Fails with kUsage for options that exclude each
  // other and for an `only` that names nothing in the databases.
  static Result<FrameWriter> create(FrameWriterOptions options, Databases& databases);

  [[nodiscard]] FrameFormat format() const { return options_.format; }

  // The first line of the output; empty for formats that have none.
  [[nodiscard]] std::string_view header() const;

  // Appends the lines of a frame. Fails with kBadData for a time that the format cannot hold.
  Result<void> write(std::string& out, const TimedFrame& frame);

  // Frames that were not printed because no database knows their identifier.
  [[nodiscard]] std::uint64_t unknown_frames() const { return unknown_; }

  // Frames of which a part of the signals was left out.
  [[nodiscard]] std::uint64_t partial_frames() const { return partial_; }

 private:
  FrameWriter(FrameWriterOptions options, Databases& databases)
      : options_(std::move(options)), databases_(&databases) {}

  void write_raw(std::string& out, const TimedFrame& frame) const;
  void write_signals(std::string& out, const TimedFrame& frame, const MessagePlan& plan);
  void write_object(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const;
  void write_flat(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const;
  void write_csv(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const;
  void write_influx(std::string& out, const TimedFrame& frame, const MessagePlan& plan) const;
  [[nodiscard]] bool is_wanted(const Message& message, const Signal& signal) const;

  FrameWriterOptions options_;
  Databases* databases_;
  Decoding decoding_;
  std::uint64_t unknown_ = 0;
  std::uint64_t partial_ = 0;
};

}  // namespace fieldpipe::can
