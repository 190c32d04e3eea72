// SPDX-License-Identifier: MIT
#include "memfault/rle.h"

#include <cstdint>

#include <fmt/format.h>

#include "core/text.h"
#include "memfault/varint.h"

namespace fieldpipe::memfault {
Result<void> decode_rle(Bytes coded, std::size_t max_bytes, std::string& out) {
  const std::size_t before = out.size();
  Bytes rest = coded;
  while (!rest.empty()) {
    const std::size_t at = coded.size() - rest.size();
    const auto refuse = [&](std::string what) {
      out.resize(before);
      return fail_at(at, ErrorCode::kBadData, std::move(what));
    };
    const auto count = take_varint(rest);
    if (!count) return refuse("a run length that is no 32-bit number");
    if (*count == 0) return refuse("a run of no bytes");
    // Zigzag: 0, -1, 1, -2 are 0, 1, 2, 3.
    const bool repeated = *count % 2 == 0;
    const std::size_t length = (std::size_t{*count} + 1) / 2;
    const std::size_t held = repeated ? 1 : length;
    if (length > max_bytes - (out.size() - before)) {
      return refuse(fmt::format("more than the limit of {} after run-length decoding", print_size(max_bytes)));
    }
    if (held > rest.size()) return refuse(fmt::format("a run needs {} bytes, {} follow", held, rest.size()));
    if (repeated) {
      out.append(length, static_cast<char>(rest[0]));
    } else {
      out.append(as_text(rest.first(length)));
    }
    rest = rest.subspan(held);
  }
  return {};
}

}  // namespace fieldpipe::memfault
