// SPDX-License-Identifier: MIT
// The FlexConnect binary message: a token and points in time, each with readings of CAN frames. Layout and byte orders
// are the developer guide's (Audesse/flexconnect); where it is silent, the rules are stated here.
//
//   message = token length (4 bytes, big-endian), token (UTF-8), points to the end
//   point   = time (8, ms since 1970), count of readings (2), length of the point with this header (2), readings
//   reading = identifier (4), bus in the upper 3 bits and length code in the lower 5 (1), data
//
// All but the token length is little-endian. An identifier of 29 bits carries bit 31, as a DBC file and the firmware
// example of the documentation write it. Lengths above 8 are the length codes of CAN FD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "can/frame.h"
#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::flexconnect {

inline constexpr std::size_t kTokenLengthBytes = 4;
inline constexpr std::size_t kPointHeaderBytes = 12;
inline constexpr std::size_t kReadingHeaderBytes = 5;
inline constexpr std::size_t kMaxPointBytes = 65'535;
inline constexpr unsigned kMaxBus = 7;

inline constexpr std::uint32_t kExtendedBit = std::uint32_t{1} << 31U;
inline constexpr std::uint32_t kRemoteBit = std::uint32_t{1} << 30U;
inline constexpr std::uint32_t kErrorBit = std::uint32_t{1} << 29U;

// Whether a frame has a place in a message: data frames only. Remote frames, error messages and CAN XL have none in the
// guide.
inline bool is_data_frame(const can::Frame& frame) {
  return frame.kind == can::Kind::kClassic || frame.kind == can::Kind::kFd;
}

// Builds messages, one after another, in a buffer that is kept. Consecutive frames of one millisecond share a point, as
// long as its 16-bit length holds them; frames are never sorted.
class BinaryEncoder {
 public:
  explicit BinaryEncoder(std::string_view token);

  // False when the message begun cannot take the frame at all; a binary message takes any.
  static constexpr bool accepts(std::int64_t, unsigned, const can::Frame&) { return true; }

  // Bytes of the message if the frame were added.
  [[nodiscard]] std::size_t size_with(std::int64_t time_ms, unsigned, const can::Frame& frame) const {
    const std::size_t reading = kReadingHeaderBytes + padded_bytes(frame);
    return used_ + reading + (continues_point(time_ms, reading) ? 0 : kPointHeaderBytes);
  }

  // Adds a frame, for which is_data_frame() holds, of a bus from 0 to kMaxBus. A CAN FD length that is no legal one is
  // padded with zeros; a raw length code above 8 of a classic frame is written as 8, because here it would mean more
  // bytes. `time_ms` counts from 1970 and is not negative.
  void add(std::int64_t time_ms, unsigned bus, const can::Frame& frame) {
    const std::size_t length = frame.length_bytes;
    const std::uint8_t code = can::kFdCodeOfLength[length];
    const std::size_t padded = can::kFdLengthOfCode[code];
    // Room for a reading of any length, so that short data is copied in one piece with what happens to follow it.
    if (buffer_.size() - used_ < kPointHeaderBytes + kReadingHeaderBytes + can::kMaxFdBytes) grow();
    if (!continues_point(time_ms, kReadingHeaderBytes + padded)) begin_point(time_ms);
    std::byte* to = buffer_.data() + used_;
    store_le(frame.id | (frame.extended ? kExtendedBit : 0), to);
    to[4] = static_cast<std::byte>(bus << 5U | code);
    to += kReadingHeaderBytes;
    if (length <= can::kMaxClassicBytes) {
      std::memcpy(to, frame.data.data(), can::kMaxClassicBytes);
    } else {
      std::memcpy(to, frame.data.data(), length);
      std::memset(to + length, 0, padded - length);
    }
    used_ += kReadingHeaderBytes + padded;
    ++count_;
  }

  // No frame since construction or clear().
  [[nodiscard]] bool empty() const { return point_ == 0; }

  // The message. Valid until the next add() or clear().
  [[nodiscard]] Bytes finish() {
    end_point();
    return {buffer_.data(), used_};
  }

  // Begins the next message with the same token.
  void clear();

 private:
  static std::size_t padded_bytes(const can::Frame& frame) {
    return can::kFdLengthOfCode[can::kFdCodeOfLength[frame.length_bytes]];
  }

  [[nodiscard]] bool continues_point(std::int64_t time_ms, std::size_t reading_bytes) const {
    return time_ms == time_ms_ && used_ - point_ + reading_bytes <= kMaxPointBytes && point_ != 0;
  }

  void begin_point(std::int64_t time_ms) {
    end_point();
    point_ = used_;
    time_ms_ = time_ms;
    count_ = 0;
    store_le(static_cast<std::uint64_t>(time_ms), buffer_.data() + used_);
    used_ += kPointHeaderBytes;
  }

  void end_point() {
    if (point_ == 0) return;
    store_le(count_, buffer_.data() + point_ + 8);
    store_le(static_cast<std::uint16_t>(used_ - point_), buffer_.data() + point_ + 10);
  }

  void grow();

  std::vector<std::byte> buffer_;
  std::size_t token_bytes_;   // with its length
  std::size_t used_;          // of the buffer
  std::size_t point_ = 0;     // where the open point begins; 0 when there is none
  std::int64_t time_ms_ = 0;  // of the open point
  std::uint16_t count_ = 0;   // its readings; the length is the tighter limit
};

// Walks a plain (not compressed) message. A point is handed out only after the whole of it was checked.
//
//   auto decoder = BinaryDecoder::open(message);
//   for (;;) {
//     const auto point = decoder->next_point();
//     if (!point || !*point) break;
//     while (decoder->next_reading(bus, frame)) ...
//   }
class BinaryDecoder {
 public:
  // Reads the token. Fails with kBadData. The message must stay in place.
  static Result<BinaryDecoder> open(Bytes message);

  // As it stands in the message: secret, and of unknown bytes.
  [[nodiscard]] std::string_view token() const { return token_; }

  // Goes to the next point; false at the end of the message. Fails with kBadData and an offset when the point is
  // broken, and then nothing of it is given.
  //
  // The walk over its readings takes the lower five bits for a length code. If that does not end exactly at the point's
  // length, but a walk that takes them for a count of bytes does, the point was made by a writer that puts len(data)
  // there, and is accepted; see used_byte_counts(). Both can fit only by accident of the data, and then the code holds.
  Result<bool> next_point();

  // Of the current point: ms since 1970.
  [[nodiscard]] std::int64_t time_ms() const { return time_ms_; }

  // Takes the next reading of the current point; false when there is none left. The members of the frame mean the same
  // as for one that was read from text. More than 8 bytes make it a CAN FD frame, which is otherwise not to be told.
  // Without bit 31 an identifier above 0x7FF can only be one of 29 bits. A reading with bit 30 is a remote frame and
  // has no data, one with bit 29 an error message.
  bool next_reading(unsigned& bus, can::Frame& frame) {
    if (left_ == 0) return false;
    --left_;
    const std::byte* const from = message_.data() + at_;
    const auto word = load_le<std::uint32_t>(from);
    const unsigned low = std::to_integer<unsigned>(from[4]) & 31U;
    const bool remote = (word & kRemoteBit) != 0;
    const std::size_t length = byte_counts_ ? low : can::kFdLengthOfCode[low & 15U];
    bus = std::to_integer<unsigned>(from[4]) >> 5U;
    frame.id = word & can::kMaxExtendedId;
    frame.extended = (word & kExtendedBit) != 0 || frame.id > can::kMaxStandardId;
    frame.bit_rate_switch = false;
    frame.error_state = false;
    at_ += kReadingHeaderBytes;
    if (remote) {
      frame.kind = can::Kind::kRemote;
      frame.dlc = static_cast<std::uint8_t>(low);
      frame.length_bytes = static_cast<std::uint8_t>(low < can::kMaxClassicBytes ? low : can::kMaxClassicBytes);
      return true;
    }
    frame.kind = (word & kErrorBit) != 0          ? can::Kind::kError
                 : length > can::kMaxClassicBytes ? can::Kind::kFd
                                                  : can::Kind::kClassic;
    frame.dlc = can::kFdCodeOfLength[length];
    frame.length_bytes = static_cast<std::uint8_t>(length);
    const std::byte* const data = from + kReadingHeaderBytes;
    if (length <= can::kMaxClassicBytes && message_.size() - at_ >= can::kMaxClassicBytes) {
      std::memcpy(frame.data.data(), data, can::kMaxClassicBytes);
    } else {
      std::memcpy(frame.data.data(), data, length);
    }
    at_ += length;
    return true;
  }

  // Whether a point so far had byte counts where length codes belong; worth one warning.
  [[nodiscard]] bool used_byte_counts() const { return used_byte_counts_; }

 private:
  BinaryDecoder(Bytes message, std::size_t token_bytes)
      : message_(message),
        token_(as_text(message.subspan(kTokenLengthBytes, token_bytes))),
        at_(kTokenLengthBytes + token_bytes),
        end_(at_) {}

  Bytes message_;
  std::string_view token_;
  std::size_t at_;        // the next reading
  std::size_t end_;       // of the current point
  std::size_t left_ = 0;  // readings of the current point that were not taken
  std::int64_t time_ms_ = 0;
  bool byte_counts_ = false;  // in the current point
  bool used_byte_counts_ = false;
};

}  // namespace fieldpipe::flexconnect
