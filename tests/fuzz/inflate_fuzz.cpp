// SPDX-License-Identifier: MIT
// Inflating never gives more than the limit, and what it gives comes back from our own compressor.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "gzip/compress.h"
#include "gzip/inflate.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxBytes = 1 << 16;
  static gzip::Compressor compressor(gzip::kMinLevel);
  std::string plain;
  if (!gzip::inflate(std::as_bytes(std::span(data, size)), kMaxBytes, plain)) {
    if (!plain.empty()) std::abort();
    return 0;
  }
  std::string stream;
  std::string again;
  if (plain.size() > kMaxBytes || !compressor.compress(as_bytes(plain), stream)) std::abort();
  if (!gzip::inflate(as_bytes(stream), plain.size(), again) || again != plain) std::abort();
  return 0;
}
