// SPDX-License-Identifier: MIT
// A line that is taken is printed as one line, which is taken again and gives the same point.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "uplink/payload.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (line.find('\n') != std::string_view::npos) return 0;
  static json::Reader reader;
  uplink::Payload payload;
  if (!uplink::parse_payload(reader, line, payload)) return 0;
  std::string once;
  uplink::append_line(once, payload);
  if (once.find('\n') != once.size() - 1) std::abort();
  once.pop_back();
  static json::Reader second;
  uplink::Payload again;
  if (!uplink::parse_payload(second, once, again)) {
    // A line may grow past the limit when its keys are written anew.
    if (once.size() <= uplink::kMaxLineBytes) std::abort();
    return 0;
  }
  std::string twice;
  uplink::append_line(twice, again);
  if (twice != once + "\n") std::abort();
  return 0;
}
