// SPDX-License-Identifier: MIT
// FlexConnect messages of every form to lines of text, a block at a time: the codec of fc-decode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "can/frame_text.h"
#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/binary.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/json_message.h"
#include "flexconnect/message.h"

namespace fieldpipe::flexconnect {

struct TextDecoderOptions {
  BusMap buses;  // names of the interfaces
  std::size_t max_inflated_bytes = kDefaultMaxInflatedBytes;
  bool show_token = false;  // in NDJSON lines
};

// Turns one message after another into lines. Readings of binary messages become frames, points of JSON messages
// become the NDJSON that fc-encode takes back; those have no other form and fail there.
class TextDecoder {
 public:
  // Frames go through `writer`, which must outlive the decoder.
  TextDecoder(const TextDecoderOptions& options, can::FrameWriter& writer);

  // Starts on a message, which must stay in place until it is finished. Fails with kBadData and an offset.
  Result<void> begin(Bytes message);

  // Appends lines until `out` has grown by some `block_bytes` or the message is finished; false when it is. Fails with
  // kBadData and an offset; the lines before are those of all points that were good.
  Result<bool> more(std::string& out, std::size_t block_bytes);

  // Messages begun so far.
  [[nodiscard]] std::uint64_t messages() const { return frame_.message_number; }

  // Readings given so far.
  [[nodiscard]] std::uint64_t frames() const { return frames_; }

  // Whether a message had byte counts where length codes belong; worth one warning.
  [[nodiscard]] bool saw_byte_counts() const { return saw_byte_counts_; }

 private:
  Result<bool> more_readings(std::string& out, std::size_t block_bytes);
  Result<bool> more_points(std::string& out, std::size_t block_bytes);
  tl::unexpected<Error> placed(Error error) const;

  bool show_token_;
  can::FrameWriter& writer_;
  Unwrapper unwrapper_;
  bool compressed_ = false;  // offsets count in the inflated message
  std::optional<BinaryDecoder> binary_;
  JsonDecoder json_;
  Point point_;
  can::TimedFrame frame_;
  std::array<std::string, kBuses> interfaces_;
  std::string token_member_;  // `,"token":"..."` of the message, empty unless it is shown
  std::uint64_t frames_ = 0;
  bool saw_byte_counts_ = false;
};

}  // namespace fieldpipe::flexconnect
