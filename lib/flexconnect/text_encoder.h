// SPDX-License-Identifier: MIT
// Lines of text, CAN logs or NDJSON points, to FlexConnect messages: the codec of fc-encode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "can/databases.h"
#include "can/frame_reader.h"
#include "can/selection.h"
#include "can/signal.h"
#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/batcher.h"
#include "flexconnect/binary.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/json_message.h"
#include "flexconnect/message.h"
#include "flexconnect/points.h"
#include "json/reader.h"
#include "record/lines.h"

namespace fieldpipe::flexconnect {

enum class TextSource : std::uint8_t {
  kAuto,    // points if the first line with text begins with {, else frames
  kFrames,  // candump text in every form, told apart line by line, or an ASC log
  kPoints,  // NDJSON, see points.h
};

enum class SignalNames : std::uint8_t {
  kShort,  // Signal, but Message.Signal where several messages have one of the name
  kLong,   // Message.Signal
};

struct TextEncoderOptions {
  TextSource source = TextSource::kAuto;
  std::optional<Form> form;  // not set: JSON for points, binary for frames
  JsonDefaults defaults;     // binary messages hold the token only
  BatchLimits limits;
  BusMap buses;
  can::FrameReaderOptions frames;
  std::size_t max_line_bytes = std::size_t{1} << 20U;  // of a point; frames have a smaller limit of their own
  SignalNames names = SignalNames::kShort;
  bool choices = false;  // fields NAME_text with the texts of values
};

// What became of the lines. What is not counted here the reader of frames has counted.
struct TextEncoderCounts {
  std::uint64_t records = 0;  // frames or points taken
  std::uint64_t messages = 0;
  std::uint64_t remote = 0;  // frames that the format has no place for
  std::uint64_t error = 0;
  std::uint64_t xl = 0;
  std::uint64_t unknown = 0;  // frames that no database knows, where fields are named by them
  std::uint64_t partial = 0;  // frames of which a part of the signals could not be told
  std::string shared_bus;     // says which two interfaces have one number; empty: none
  // Frames of interfaces without a bus number, by name. The names of a hostile log must not fill the memory, so that
  // those beyond the first few are counted under the empty name.
  std::map<std::string, std::uint64_t, std::less<>> unmapped;
};

// Push codec: takes text in pieces of any size and hands finished messages, not compressed, to a sink. The same text
// gives the same messages however it is cut.
class TextEncoder {
 public:
  using Sink = std::function<Result<void>(Form form, Bytes message)>;

  // `databases` must outlive the encoder; with any, JSON messages have their signals for fields. `sampler` decides
  // which frames are kept.
  TextEncoder(TextEncoderOptions options, can::Databases& databases, can::Sampler sampler, Sink sink);
  TextEncoder(const TextEncoder&) = delete;
  TextEncoder& operator=(const TextEncoder&) = delete;

  // The text that follows is another input. What it is, points or frames, stays as the first one decided.
  void begin_input() { reader_.begin_input(); }

  // Takes the whole lines at the front of `text`, and with `at_end` also the rest; gives the number of bytes taken.
  // Lines without a time happened at `arrival_ns` (since 1970). Fails with kBadData for what cannot be skipped (a
  // relative time nobody explained) or, when strict, for anything left out, naming the line; with kUsage when the input
  // asks for a setting that is missing; and with what the sink says. What came before stays in the open message: call
  // finish().
  Result<std::size_t> feed(std::string_view text, bool at_end, std::int64_t arrival_ns);

  // Nothing has come for a while, and it is `now_ns`: ends the message begun, with the samples that are due.
  Result<void> pause(std::int64_t now_ns);

  // Ends the message begun, with all samples held back.
  Result<void> finish();

  // Whether something is begun that must not wait for ever.
  [[nodiscard]] bool has_open_message() const;

  [[nodiscard]] std::uint64_t lines() const { return cutter_.lines(); }
  [[nodiscard]] const TextEncoderCounts& counts() const { return counts_; }
  [[nodiscard]] const can::FrameReaderCounts& reader_counts() const { return reader_.counts(); }
  // Lines that were neither a record nor something that may stand between records.
  [[nodiscard]] const record::LineFaults& faults() const {
    return source_ == TextSource::kPoints ? point_faults_ : reader_.faults();
  }

 private:
  // An encoder with its batcher, which keeps a reference to it.
  template <typename Encoder, typename Argument>
  struct Batch {
    Batch(const Argument& argument, BatchLimits limits) : encoder(argument), batcher(encoder, limits) {}
    Encoder encoder;
    Batcher<Encoder> batcher;
  };
  using BinaryBatch = Batch<BinaryEncoder, std::string>;
  using JsonBatch = Batch<JsonEncoder, JsonDefaults>;

  // The field of a signal, and the last point that has it.
  struct FieldName {
    const std::string* text;
    std::uint64_t* last_point;
  };

  Result<void> choose_once(std::string_view line);
  Result<void> take_line(std::string_view line, std::int64_t arrival_ns);
  Result<void> take_point(std::string_view line);
  Result<void> take_frame(const can::CandumpLine& line, std::int64_t time_ns);
  Result<void> take_due();
  Result<void> add(std::int64_t time_ns, unsigned bus, const can::Frame& frame);
  template <typename AnyBatch>
  Result<void> add_frame(AnyBatch& batch, std::int64_t time_ms, unsigned bus, const can::Frame& frame);
  Result<void> add_signals(std::int64_t time_ms, unsigned bus, const can::Frame& frame);
  Result<void> end_point();
  Result<void> end_message();
  FieldName field_name(const can::Message& message, const can::SignalPlan& signal);
  Result<void> leave_out(std::uint64_t& count, std::string_view what);
  Result<void> refuse_interface(std::string_view interface);
  std::optional<unsigned> bus_of(std::string_view interface);
  [[nodiscard]] tl::unexpected<Error> at_line(Error error) const;
  auto sink();

  TextEncoderOptions options_;
  can::Databases& databases_;
  can::Sampler sampler_;
  Sink sink_;
  TextSource source_;
  std::variant<std::monostate, BinaryBatch, JsonBatch> batch_;
  record::LineCutter cutter_;
  can::FrameReader reader_;
  record::LineFaults point_faults_;
  std::vector<std::pair<std::string, std::optional<unsigned>>> known_interfaces_;
  std::array<std::string, kBuses> interface_of_bus_;  // the one seen last
  std::vector<can::Sample> due_;
  json::Reader json_;
  Point point_;  // the one read last, or the one that signals of a millisecond go into
  PointText point_text_;
  can::Decoding decoding_;
  bool point_open_ = false;
  std::uint64_t point_number_ = 0;
  std::unordered_map<const can::SignalPlan*, FieldName> field_names_;
  std::unordered_map<std::string, std::uint64_t> last_points_;  // of each field name; what field_names_ points into
  TextEncoderCounts counts_;
};

}  // namespace fieldpipe::flexconnect
