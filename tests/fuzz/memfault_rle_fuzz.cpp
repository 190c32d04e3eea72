// SPDX-License-Identifier: MIT
// Run-length decoding never gives more than the limit, gives nothing where it fails, and the parts of a coding that is
// cut between two records are those of the whole.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "memfault/rle.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxBytes = 1 << 16;
  const Bytes coded = std::as_bytes(std::span(data, size));
  std::string plain = "x";
  if (!memfault::decode_rle(coded, kMaxBytes, plain)) {
    if (plain != "x") std::abort();
    return 0;
  }
  if (plain.size() > kMaxBytes + 1) std::abort();
  for (std::size_t cut = 0; cut <= size; ++cut) {
    std::string parts = "x";
    if (!memfault::decode_rle(coded.first(cut), kMaxBytes, parts)) continue;
    if (!memfault::decode_rle(coded.subspan(cut), kMaxBytes, parts) || parts != plain) std::abort();
  }
  return 0;
}
