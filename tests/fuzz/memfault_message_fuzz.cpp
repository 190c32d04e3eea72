// SPDX-License-Identifier: MIT
// Every message is printed as members of a JSON object on one line, whatever it holds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "json/reader.h"
#include "memfault/message.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxBytes = 1 << 16;
  memfault::MessagePrinter printer(kMaxBytes);
  std::string out;
  const auto read = printer.append_members(out, std::as_bytes(std::span(data, size)));
  if (printer.payload().size() > std::max(kMaxBytes, size)) std::abort();
  if (out.empty() || out.find('\n') != std::string::npos) std::abort();
  if (!read && out.find(",\"error\":") == std::string::npos) std::abort();
  out.front() = '{';
  out += "}";
  json::Reader reader;
  if (!reader.is_value(out)) std::abort();
  return 0;
}
