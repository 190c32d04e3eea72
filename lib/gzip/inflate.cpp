// SPDX-License-Identifier: MIT
#include "gzip/inflate.h"

#include <algorithm>
#include <limits>
#include <memory>

#include <fmt/format.h>
#include <zlib.h>

#include "core/text.h"

namespace fieldpipe::gzip {
namespace {

constexpr int kGzipOnly = 16;  // added to the window bits: no zlib or raw streams (zlib.h, inflateInit2)
constexpr std::size_t kFirstOutputBytes = 4096;

uInt clamped(std::size_t bytes) {
  return static_cast<uInt>(std::min<std::size_t>(bytes, std::numeric_limits<uInt>::max()));
}

struct End {
  void operator()(z_stream* stream) const { ::inflateEnd(stream); }
};

// Inflates to the end of the member, with `out` growing by doubling up to the limit.
Result<void> inflate_member(z_stream& stream, Bytes in, std::size_t max_bytes, std::string& out) {
  const std::size_t start = out.size();
  std::size_t produced = 0;
  std::size_t consumed = 0;
  while (true) {
    if (start + produced == out.size()) {
      out.resize(start + std::min(max_bytes, std::max(2 * produced, kFirstOutputBytes)));
    }
    // At the limit one more byte is offered, to tell a stream that ends there from one that goes on.
    Bytef beyond = 0;
    const bool full = produced == max_bytes;
    const uInt offered_in = clamped(in.size() - consumed);
    const uInt offered_out = full ? 1 : clamped(out.size() - start - produced);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data() + consumed));
    stream.avail_in = offered_in;
    stream.next_out = full ? &beyond : reinterpret_cast<Bytef*>(out.data() + start + produced);
    stream.avail_out = offered_out;

    const int status = ::inflate(&stream, Z_NO_FLUSH);
    consumed += offered_in - stream.avail_in;
    const std::size_t written = offered_out - stream.avail_out;
    if (full && written > 0) {
      return fail_at(consumed, ErrorCode::kBadData,
                     fmt::format("gzip stream holds more than the limit of {}", print_size(max_bytes)));
    }
    produced += written;
    if (status == Z_STREAM_END) break;
    if (status == Z_MEM_ERROR) return fail(ErrorCode::kUnavailable, "no memory to inflate");
    if (status != Z_OK && status != Z_BUF_ERROR) {
      return fail_at(consumed, ErrorCode::kBadData,
                     fmt::format("damaged gzip stream: {}", stream.msg != nullptr ? stream.msg : "no reason given"));
    }
    if (consumed == in.size() && stream.avail_out > 0) {
      return fail_at(consumed, ErrorCode::kBadData, fmt::format("gzip stream is cut after {} bytes", consumed));
    }
  }
  if (consumed < in.size()) {
    return fail_at(consumed, ErrorCode::kBadData, fmt::format("{} bytes after the gzip stream", in.size() - consumed));
  }
  out.resize(start + produced);
  return {};
}

}  // namespace

Result<void> inflate(Bytes in, std::size_t max_bytes, std::string& out) {
  z_stream stream{};
  if (::inflateInit2(&stream, MAX_WBITS + kGzipOnly) != Z_OK) {
    return fail(ErrorCode::kUnavailable, "no memory to inflate");
  }
  const std::unique_ptr<z_stream, End> guard(&stream);
  const std::size_t start = out.size();
  auto result = inflate_member(stream, in, max_bytes, out);
  if (!result) out.resize(start);
  return result;
}

}  // namespace fieldpipe::gzip
