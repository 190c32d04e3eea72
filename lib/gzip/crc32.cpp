// SPDX-License-Identifier: MIT
#include "gzip/crc32.h"

#include <libdeflate.h>

namespace fieldpipe::gzip {

std::uint32_t crc32(std::uint32_t seed, Bytes bytes) {
  // For no buffer libdeflate answers with the seed of nothing, which is not what an empty span means here.
  return bytes.empty() ? seed : libdeflate_crc32(seed, bytes.data(), bytes.size());
}

}  // namespace fieldpipe::gzip
