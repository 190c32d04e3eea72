// SPDX-License-Identifier: MIT
#include "flexconnect/binary.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace fieldpipe::flexconnect {
namespace {

// More than any point has, so that the walk stops at it.
constexpr std::size_t kNoLength = kMaxPointBytes + 1;

// Data bytes for the lower five bits of a reading, by either meaning.
using Lengths = std::array<std::size_t, 32>;
constexpr Lengths kLengthOfCode = [] {
  Lengths lengths{};
  lengths.fill(kNoLength);
  std::copy(can::kFdLengthOfCode.begin(), can::kFdLengthOfCode.end(), lengths.begin());
  return lengths;
}();
constexpr Lengths kLengthOfCount = [] {
  Lengths lengths{};
  for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = i;
  return lengths;
}();

// Where a walk over the readings of a point ended: with all of them taken, or before the first that does not fit.
struct Walked {
  std::size_t readings;
  std::size_t at;
};

Walked walk(Bytes point, std::size_t count, const Lengths& lengths) {
  std::size_t at = kPointHeaderBytes;
  for (std::size_t taken = 0; taken < count; ++taken) {
    if (point.size() - at < kReadingHeaderBytes) return {taken, at};
    const bool remote = (point[at + 3] & std::byte{kRemoteBit >> 24U}) != std::byte{};
    const unsigned low = std::to_integer<unsigned>(point[at + 4]) & 31U;
    const std::size_t length = !remote ? lengths[low] : low < can::kFdLengthOfCode.size() ? 0 : kNoLength;
    if (length > point.size() - at - kReadingHeaderBytes) return {taken, at};
    at += kReadingHeaderBytes + length;
  }
  return {count, at};
}

// Says why the walk by length codes does not fit; `offset` is the point's.
tl::unexpected<Error> broken_point(Bytes point, std::size_t offset, std::size_t count, const Walked& walked) {
  const std::size_t left = point.size() - walked.at;
  const auto broken = [&](std::string what) {
    return fail_at(offset + walked.at, ErrorCode::kBadData, std::move(what));
  };
  if (walked.readings == count) {
    return broken(fmt::format("point with a count of {} readings has {} bytes more", count, left));
  }
  if (left < kReadingHeaderBytes) {
    return broken(fmt::format("point with a count of {} readings ends after {}", count, walked.readings));
  }
  const unsigned low = std::to_integer<unsigned>(point[walked.at + 4]) & 31U;
  if (low >= can::kFdLengthOfCode.size()) {
    return broken(fmt::format("dlc {} of a reading is no length code (0 to 15)", low));
  }
  return broken(fmt::format("reading of {} data bytes has only {} left in its point", can::kFdLengthOfCode[low],
                            left - kReadingHeaderBytes));
}

}  // namespace

BinaryEncoder::BinaryEncoder(std::string_view token) : token_bytes_(kTokenLengthBytes + token.size()) {
  buffer_.resize(token_bytes_);
  store_be(static_cast<std::uint32_t>(token.size()), buffer_.data());
  std::ranges::copy(as_bytes(token), buffer_.begin() + kTokenLengthBytes);
  clear();
}

void BinaryEncoder::clear() {
  used_ = token_bytes_;
  point_ = 0;
}

void BinaryEncoder::grow() { buffer_.resize(std::max<std::size_t>(2 * buffer_.size(), 4096)); }

Result<BinaryDecoder> BinaryDecoder::open(Bytes message) {
  if (message.empty()) return fail_at(0, ErrorCode::kBadData, "empty message");
  if (message.size() < kTokenLengthBytes) {
    return fail_at(0, ErrorCode::kBadData,
                   fmt::format("message of {} bytes, its token length alone takes 4", message.size()));
  }
  const auto token_bytes = load_be<std::uint32_t>(message.data());
  const std::size_t left = message.size() - kTokenLengthBytes;
  if (token_bytes > left) {
    const auto is_hex = [](std::byte b) { return kHexValue[std::to_integer<unsigned>(b)] != kNotHex; };
    return fail_at(0, ErrorCode::kBadData, fmt::format("token length of {} bytes, only {} follow", token_bytes, left),
                   std::ranges::all_of(message.first(kTokenLengthBytes), is_hex) ? "the message may be hex text" : "");
  }
  return BinaryDecoder(message, token_bytes);
}

Result<bool> BinaryDecoder::next_point() {
  left_ = 0;
  const Bytes rest = message_.subspan(end_);
  if (rest.empty()) return false;
  const auto broken = [&](std::string what) { return fail_at(end_, ErrorCode::kBadData, std::move(what)); };
  if (rest.size() < kPointHeaderBytes) {
    return broken(
        fmt::format("{} bytes behind the last point, the header of a point takes {}", rest.size(), kPointHeaderBytes));
  }
  const auto time_ms = load_le<std::uint64_t>(rest.data());
  const std::size_t count = load_le<std::uint16_t>(rest.data() + 8);
  const std::size_t length = load_le<std::uint16_t>(rest.data() + 10);
  if (length < kPointHeaderBytes) {
    return broken(fmt::format("point length {} is below that of its header, {}", length, kPointHeaderBytes));
  }
  if (length > rest.size()) {
    return broken(
        fmt::format("point length {} runs past the end of the message, {} bytes are left", length, rest.size()));
  }
  if (time_ms > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return broken(fmt::format("point time of {} ms is beyond 2^63-1", time_ms));
  }
  const Bytes point = rest.first(length);
  const Walked by_code = walk(point, count, kLengthOfCode);
  byte_counts_ = by_code.readings != count || by_code.at != length;
  if (byte_counts_) {
    const Walked by_count = walk(point, count, kLengthOfCount);
    if (by_count.readings != count || by_count.at != length) return broken_point(point, end_, count, by_code);
    used_byte_counts_ = true;
  }
  time_ms_ = static_cast<std::int64_t>(time_ms);
  at_ = end_ + kPointHeaderBytes;
  end_ += length;
  left_ = count;
  return true;
}

}  // namespace fieldpipe::flexconnect
