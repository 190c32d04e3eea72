// SPDX-License-Identifier: MIT
// Lines of text, candump's or NDJSON points, to FlexConnect messages: the codec of fc-encode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "can/candump.h"
#include "can/line_time.h"
#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/batcher.h"
#include "flexconnect/binary.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/json_message.h"
#include "flexconnect/message.h"
#include "flexconnect/points.h"
#include "json/reader.h"

namespace fieldpipe::flexconnect {

enum class TextSource : std::uint8_t {
  kAuto,     // points if the first line with text begins with {, else candump
  kCandump,  // every form of candump, told apart line by line
  kPoints,   // NDJSON, see points.h
};

struct TextEncoderOptions {
  TextSource source = TextSource::kAuto;
  std::optional<Form> form;  // not set: JSON for points, binary for frames
  JsonDefaults defaults;     // binary messages hold the token only
  BatchLimits limits;
  BusMap buses;
  can::LineTimeRules times;
  std::size_t max_line_bytes = std::size_t{1} << 20U;  // of a point; candump's own limit is smaller
  bool strict = false;                                 // anything left out is an error
};

// What became of the lines. `lines` counts all of them; the others say why something is not in a message.
struct TextEncoderCounts {
  std::uint64_t lines = 0;
  std::uint64_t records = 0;  // frames or points in messages
  std::uint64_t messages = 0;
  std::uint64_t remote = 0;  // frames that the format has no place for
  std::uint64_t error = 0;
  std::uint64_t xl = 0;
  std::uint64_t bad = 0;      // lines that are neither a record nor one of candump's own notices
  std::uint64_t dropped = 0;  // frames that candump itself says it has lost
  std::uint64_t early = 0;    // frames stamped before 1991: a clock that was never set
  std::string first_bad;      // "line 7: ..." of the first bad line
  // Frames of interfaces without a bus number, by name. The names of a hostile log must not fill the memory, so that
  // those beyond the first few are counted under the empty name.
  std::map<std::string, std::uint64_t, std::less<>> unmapped;
};

// Push codec: takes text in pieces of any size and hands finished messages, not compressed, to a sink. The same text
// gives the same messages however it is cut.
class TextEncoder {
 public:
  using Sink = std::function<Result<void>(Form form, Bytes message)>;

  TextEncoder(TextEncoderOptions options, Sink sink);
  TextEncoder(const TextEncoder&) = delete;
  TextEncoder& operator=(const TextEncoder&) = delete;

  // Takes the whole lines at the front of `text`, and with `at_end` also the rest; gives the number of bytes taken.
  // Lines without a time happened at `arrival_ns` (since 1970). Fails with kBadData for what cannot be skipped (a
  // relative time nobody explained) or, when strict, for anything left out, naming the line; with kUsage when the input
  // asks for a setting that is missing; and with what the sink says. What came before stays in the open message: call
  // close().
  Result<std::size_t> feed(std::string_view text, bool at_end, std::int64_t arrival_ns);

  // Ends the message begun, if there is one.
  Result<void> close();

  // Whether a message is begun, which must not wait for ever.
  [[nodiscard]] bool has_open_message() const;

  [[nodiscard]] const TextEncoderCounts& counts() const { return counts_; }

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

  Result<void> choose(std::string_view line);
  Result<void> take_line(std::string_view line, std::int64_t arrival_ns);
  Result<void> take_point(std::string_view line);
  Result<void> take_frame(std::int64_t arrival_ns);
  template <typename AnyBatch>
  Result<void> add_frame(AnyBatch& batch, std::int64_t time_ms, unsigned number);
  Result<void> leave_out(std::uint64_t& count, std::string_view what);
  Result<void> refuse_line(std::string_view reason);
  Result<void> refuse_interface();
  std::optional<unsigned> bus();
  [[nodiscard]] tl::unexpected<Error> at_line(Error error) const;
  auto sink();

  TextEncoderOptions options_;
  Sink sink_;
  TextSource source_;
  std::variant<std::monostate, BinaryBatch, JsonBatch> batch_;
  can::LineTime line_time_;
  can::CandumpLine line_;
  std::vector<std::pair<std::string, std::optional<unsigned>>> known_interfaces_;
  json::Reader reader_;
  Point point_;
  PointText point_text_;
  bool skipping_ = false;  // inside a line that is longer than any may be
  TextEncoderCounts counts_;
};

}  // namespace fieldpipe::flexconnect
