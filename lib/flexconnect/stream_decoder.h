// SPDX-License-Identifier: MIT
// A byte stream to lines of text, whatever of FlexConnect or CAN it holds: the codec of fc-decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "can/frame_reader.h"
#include "can/frame_text.h"
#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/text_decoder.h"
#include "json/reader.h"
#include "record/envelope.h"
#include "record/framing.h"
#include "record/lines.h"

namespace fieldpipe::flexconnect {

enum class StreamSource : std::uint8_t {
  kAuto,    // told by the first bytes of each input
  kLog,     // candump text or an ASC log
  kFrames,  // messages in frames, lines and so on; see record::Framing
  kLines,
  kWhole,
  kNul,
  kHex,
  kBase64,
  kEnvelope,  // the payloads of envelopes
};

struct StreamDecoderOptions {
  StreamSource source = StreamSource::kAuto;
  std::size_t max_record_bytes = record::kDefaultMaxRecordBytes;
  TextDecoderOptions messages{};
  can::FrameReaderOptions frames{};  // of logs
};

// Push codec for one input after another. A message that is broken is put aside as an Error and passed over; what was
// good of it is out.
class StreamDecoder {
 public:
  // Frames go through `writer`, which must outlive the decoder.
  StreamDecoder(StreamDecoderOptions options, can::FrameWriter& writer);

  // The bytes that follow are another input.
  void begin_input();

  struct Step {
    std::size_t used_bytes = 0;  // to drop from the front of the window
    bool needs_input = false;    // else there is more to do with what is there
  };

  // Does a piece of work on the unread bytes, and appends some lines to `out`. The window must stay in place from one
  // call to the next unless bytes were used or input was asked for. Lines of a log without a time happened at
  // `arrival_ns`. Fails when the input cannot be read on: it is not what it should be (kBadData), or its times need a
  // base.
  Result<Step> feed(Bytes window, bool at_end, std::int64_t arrival_ns, std::string& out);

  // What was wrong with broken messages since the last call, of the first ones of a run only: whoever publishes them
  // must not fill a log.
  std::vector<Error> take_faults() { return std::exchange(faults_, {}); }

  // Broken messages that take_faults() has not told.
  [[nodiscard]] std::uint64_t untold() const { return broken_ > kMaxTold ? broken_ - kMaxTold : 0; }

  [[nodiscard]] const TextDecoder& messages() const { return message_; }
  [[nodiscard]] const can::FrameReader& log() const { return log_; }
  [[nodiscard]] std::uint64_t log_lines() const { return cutter_.lines(); }

 private:
  static constexpr std::uint64_t kMaxTold = 10;
  static constexpr std::size_t kBlockBytes = std::size_t{64} * 1024;

  bool detect(Bytes window, bool at_end);
  Result<Step> feed_log(Bytes window, bool at_end, std::int64_t arrival_ns, std::string& out);
  Result<Step> feed_messages(Bytes window, bool at_end);
  void put_aside(Error error);

  StreamDecoderOptions options_;
  can::FrameWriter& writer_;
  bool is_log_ = false;
  std::optional<record::Splitter> splitter_;  // of an input that holds messages; not set: not known yet, or a log
  TextDecoder message_;
  bool in_message_ = false;
  std::size_t message_bytes_ = 0;  // to drop when the message is done
  json::Reader reader_;
  record::Envelope envelope_;
  record::LineCutter cutter_;
  can::FrameReader log_;
  can::TimedFrame frame_;
  std::vector<Error> faults_;
  std::uint64_t broken_ = 0;
};

}  // namespace fieldpipe::flexconnect
