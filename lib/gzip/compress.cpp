// SPDX-License-Identifier: MIT
#include "gzip/compress.h"

#include <fmt/format.h>
#include <libdeflate.h>

namespace fieldpipe::gzip {
namespace {

bool is_level(int level) { return level >= kMinLevel && level <= kMaxLevel; }

}  // namespace

Compressor::Compressor(int level)
    : level_(level), compressor_(is_level(level) ? libdeflate_alloc_compressor(level) : nullptr) {}

void Compressor::Free::operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }

Result<void> Compressor::compress(Bytes in, std::string& out) {
  if (!is_level(level_)) return fail(ErrorCode::kBug, fmt::format("compression level {}, must be 1 to 9", level_));
  if (!compressor_) return fail(ErrorCode::kUnavailable, "no memory to compress");
  const std::size_t start = out.size();
  out.resize(start + libdeflate_gzip_compress_bound(compressor_.get(), in.size()));
  // libdeflate writes no name, a time stamp of 0 and an unknown system.
  const std::size_t written =
      libdeflate_gzip_compress(compressor_.get(), in.data(), in.size(), out.data() + start, out.size() - start);
  out.resize(start + written);
  if (written == 0) return fail(ErrorCode::kBug, fmt::format("{} bytes do not fit their compression bound", in.size()));
  return {};
}

}  // namespace fieldpipe::gzip
