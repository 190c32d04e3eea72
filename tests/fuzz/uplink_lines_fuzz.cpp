// SPDX-License-Identifier: MIT
// Whatever text comes in, each line that is taken gives exactly one data line, and one that a service takes; a line
// that is refused leaves nothing behind. The first byte is the form.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "uplink/line_encoder.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  uplink::LineEncoder encoder({static_cast<uplink::Form>(data[0] % 5), data[0] % 2 == 0 ? "stream" : "", "value"});
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static json::Reader reader;
  std::string out;
  while (!text.empty() && !encoder.unusable()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.clear();
    const bool taken = encoder.encode(text.substr(0, end), 1700000000000, out).has_value();
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!taken && !out.empty()) std::abort();
    if (out.empty()) continue;
    if (out.find('\n') != out.size() - 1) std::abort();
    out.pop_back();
    uplink::Payload payload;
    if (!uplink::parse_payload(reader, out, payload)) std::abort();
  }
  return 0;
}
