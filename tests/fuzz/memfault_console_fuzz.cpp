// SPDX-License-Identifier: MIT
// A chunk found in the text of a console stands there as it is, and none is found twice.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "core/bytes.h"
#include "memfault/console_text.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  std::string chunk;
  for (;;) {
    const auto step = memfault::scan_console(text, true, 60, chunk);
    if (step.used_bytes > text.size() || step.record_at > step.used_bytes) std::abort();
    if (!step.found) break;
    if (step.used_bytes == 0) std::abort();
    if (*step.found) {
      std::string record = "MC:";
      append_base64(record, as_bytes(chunk));
      record += ":";
      if (chunk.empty() || text.substr(step.record_at, step.used_bytes - step.record_at) != record) std::abort();
    }
    text.remove_prefix(step.used_bytes);
  }
  return 0;
}
