// SPDX-License-Identifier: MIT
// A point that is parsed is printed and parsed to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "flexconnect/points.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static json::Reader reader;
  flexconnect::Point point;
  if (!flexconnect::parse_point(reader, {reinterpret_cast<const char*>(data), size}, point)) return 0;
  std::string line;
  flexconnect::append_point(line, point);
  flexconnect::Point back;
  if (!flexconnect::parse_point(reader, line, back) || back != point) std::abort();
  return 0;
}
