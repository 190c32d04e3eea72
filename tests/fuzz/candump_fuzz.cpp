// SPDX-License-Identifier: MIT
// Whatever line gives a frame, the frame printed gives the same frame again; and the short way of plain log lines
// agrees with the general one, which a colour code at the end forces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "can/candump.h"

using namespace fieldpipe::can;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string printed(const CandumpLine& line) {
  std::string out;
  append_candump(out, 1'700'000'000'000'000'000, line.interface, line.frame);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CandumpLine line;
  const LineClass line_class = parse_candump(text, line);
  CandumpLine again;
  if (!text.ends_with('\r') && size + 3 <= kMaxCandumpLineBytes) {
    const std::string coloured = std::string(text) + "\x1b[m";
    require(parse_candump(coloured, again) == line_class);
    if (line_class == LineClass::kFrame) require(again.time_ns == line.time_ns && printed(again) == printed(line));
  }
  if (line_class != LineClass::kFrame || line.frame.kind == Kind::kXl) return 0;
  std::string print = printed(line);
  print.pop_back();
  require(parse_candump(print, again) == LineClass::kFrame);
  require(again.frame.kind == line.frame.kind && printed(again) == printed(line));
  return 0;
}
