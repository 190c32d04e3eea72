// SPDX-License-Identifier: MIT
// Records on pipes: how a byte stream is cut into records, and how records become one again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::record {

enum class Framing : std::uint8_t {
  kAuto,    // reading only: frames if the input begins with a frame header, else text lines
  kLines,   // ended by LF; a CR before it belongs to the record; the last LF may be missing
  kFrames,  // 00 66 70 31, length (4 bytes, big-endian), that many bytes
  kWhole,   // one record is the whole input
  kNul,     // ended by a NUL byte; the last one may be missing
  kHex,     // lines of hex digits, two a byte
  kBase64,  // lines of base64 (RFC 4648 section 4)
};

inline constexpr std::string_view kFrameMark{"\0fp1", 4};
inline constexpr std::size_t kFrameHeaderBytes = 8;
inline constexpr std::size_t kDefaultMaxRecordBytes = std::size_t{1} << 20U;

// Appends `record` with what `framing` puts around it. Fails with kBadData, appending nothing, when
// the record cannot be told apart afterwards: a line with an LF, a NUL record with a NUL, more than
// 4 GiB in a frame. kAuto is not a way to write.
Result<void> append_record(std::string& out, Framing framing, Bytes record);

// Cuts a stream into records. Pure: it is shown the unread bytes and says what it took.
//
//   frames   "\0fp1" 00 00 00 02 "hi"   one record, hi
//   lines    "a\n\nb"                   three records: a, nothing, b
//   auto     "a\0b\n"                   refused: a line with a NUL byte
class Splitter {
 public:
  // `max_record_bytes` bounds one record (after decoding) and so the window a caller must offer. With `kept_bytes` a
  // frame or a whole input above that limit is passed over as it comes, and this much of its start is given in its
  // place.
  Splitter(Framing framing, std::size_t max_record_bytes, std::size_t kept_bytes = 0)
      : framing_(framing), max_record_bytes_(max_record_bytes), kept_bytes_(kept_bytes) {}

  struct Step {
    std::size_t used_bytes = 0;        // to drop from the front of the window, after the record was used
    std::optional<Bytes> record = {};  // nothing: show more input. Valid until the window or this object changes
    std::uint64_t oversize_bytes = 0;  // not 0: `record` is the start of one of this length, which is above the limit
  };

  // Takes the next record from the front of `window`. `at_end` says that no more bytes follow it.
  // Fails with kBadData: a record above the limit, a truncated or damaged frame, with kAuto a line
  // that is not text. What was taken before stays good; the offset counts from the start of the stream.
  Result<Step> next(Bytes window, bool at_end);

  // Whether next() failed because the input ends inside a frame.
  [[nodiscard]] bool truncated() const { return truncated_; }

  // Of such a frame, where it is above the limit: the start, and how much of it was there. Otherwise 0.
  [[nodiscard]] std::string_view truncated_start() const { return start_; }
  [[nodiscard]] std::uint64_t truncated_bytes() const { return truncated_bytes_; }

  // Records taken so far: the number of the current one, counted from 1.
  [[nodiscard]] std::uint64_t count() const { return count_; }

  // What kAuto has found; kAuto until the first record.
  [[nodiscard]] Framing framing() const { return framing_; }

 private:
  Result<Step> next_frame(Bytes window, bool at_end);
  Result<Step> next_delimited(Bytes window, bool at_end, char delimiter);
  Result<Step> next_whole(Bytes window, bool at_end);
  Result<Step> pass_frame(Bytes window, std::size_t begin, bool at_end);
  void pass(Bytes bytes);
  tl::unexpected<Error> truncate(Bytes window, std::string_view inside, std::uint64_t there, std::uint64_t wanted);
  Result<void> check_text(Bytes line) const;
  Result<Bytes> decode(Bytes line);
  [[nodiscard]] tl::unexpected<Error> too_large() const;

  Framing framing_;
  std::size_t max_record_bytes_;
  std::size_t kept_bytes_;
  std::uint64_t passed_bytes_ = 0;  // of a record above the limit; 0: there is none
  std::uint64_t frame_bytes_ = 0;   // how long it is, where that is known
  std::string start_;               // of it
  bool truncated_ = false;
  std::uint64_t truncated_bytes_ = 0;  // of a record above the limit
  bool detected_ = false;              // kAuto was asked for
  std::uint64_t taken_bytes_ = 0;
  std::uint64_t count_ = 0;
  std::string decoded_;
};

}  // namespace fieldpipe::record
