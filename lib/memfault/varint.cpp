// SPDX-License-Identifier: MIT
#include "memfault/varint.h"

#include <limits>

namespace fieldpipe::memfault {

std::optional<std::uint32_t> take_varint(Bytes& bytes) {
  constexpr std::size_t kMaxBytes = 5;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < kMaxBytes; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(bytes[i]);
    value |= (byte & 0x7FU) << (7 * i);
    if ((byte & 0x80U) != 0) continue;
    if (value > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    bytes = bytes.subspan(i + 1);
    return static_cast<std::uint32_t>(value);
  }
  return std::nullopt;
}

}  // namespace fieldpipe::memfault
