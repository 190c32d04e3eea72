// SPDX-License-Identifier: MIT
// Whatever lines a log has, its frames are within what a frame can be and have a candump line that gives them back.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "can/asc.h"
#include "can/candump.h"

using namespace fieldpipe::can;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_frame(const CandumpLine& line) {
  require(line.time_ns >= 0 && line.interface.starts_with("can"));
  if (line.frame.kind == Kind::kXl) return;
  std::string text;
  append_candump(text, line.time_ns, line.interface, line.frame);
  text.pop_back();
  CandumpLine again;
  require(parse_candump(text, again) == LineClass::kFrame);
  std::string print;
  append_candump(print, line.time_ns, again.interface, again.frame);
  print.pop_back();
  require(print == text && again.frame.kind == line.frame.kind);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  AscParser parser;
  CandumpLine line;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (parser.parse(text.substr(0, end), line) == LineClass::kFrame) check_frame(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
