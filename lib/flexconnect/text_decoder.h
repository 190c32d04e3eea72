// SPDX-License-Identifier: MIT
// FlexConnect messages of every form to lines of text, a block at a time: the codec of fc-decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "can/candump.h"
#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/binary.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/json_message.h"
#include "flexconnect/message.h"
#include "flexconnect/reading_text.h"

namespace fieldpipe::flexconnect {

enum class TextFormat : std::uint8_t { kNdjson, kCandump, kCsv };

struct TextDecoderOptions {
  TextFormat format = TextFormat::kNdjson;
  BusMap buses;  // names of the interfaces in candump lines
  std::size_t max_inflated_bytes = kDefaultMaxInflatedBytes;
  bool show_token = false;  // in NDJSON lines
};

// Turns one message after another into lines. Readings of binary messages become frames, points of JSON messages
// become the NDJSON that fc-encode takes back; those have no candump or CSV form and fail there.
class TextDecoder {
 public:
  explicit TextDecoder(TextDecoderOptions options);

  // Starts on a message, which must stay in place until it is finished. Fails with kBadData and an offset.
  Result<void> begin(Bytes message);

  // Appends lines until `out` has grown by some `block_bytes` or the message is finished; false when it is. Fails with
  // kBadData and an offset; the lines before are those of all points that were good.
  Result<bool> more(std::string& out, std::size_t block_bytes);

  // Messages begun so far.
  [[nodiscard]] std::uint64_t messages() const { return reading_.message_number; }

  // Readings given so far.
  [[nodiscard]] std::uint64_t frames() const { return frames_; }

  // Whether a message had byte counts where length codes belong; worth one warning.
  [[nodiscard]] bool saw_byte_counts() const { return saw_byte_counts_; }

 private:
  Result<bool> more_readings(std::string& out, std::size_t block_bytes);
  Result<bool> more_points(std::string& out, std::size_t block_bytes);
  void append_reading(std::string& out);
  tl::unexpected<Error> placed(Error error) const;

  TextDecoderOptions options_;
  Unwrapper unwrapper_;
  bool compressed_ = false;  // offsets count in the inflated message
  std::optional<BinaryDecoder> binary_;
  JsonDecoder json_;
  Point point_;
  Reading reading_;
  std::string interfaces_[kBuses];
  std::string token_member_;  // `,"token":"..."` of the message, empty unless it is shown
  std::uint64_t frames_ = 0;
  bool saw_byte_counts_ = false;
};

}  // namespace fieldpipe::flexconnect
