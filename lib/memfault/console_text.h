// SPDX-License-Identifier: MIT
// Chunks in the text of a serial console: records `MC:` base64 `:` among whatever else is printed
// (memfault/memfault-firmware-sdk: components/include/memfault/core/data_export.h).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::memfault {

// One look at the text.
struct ConsoleStep {
  std::size_t used_bytes = 0;         // to drop from the front of the text
  std::optional<Result<void>> found;  // a record: it is in `chunk`, or why it is none
  std::size_t record_at = 0;          // where the record begins, in bytes from the front
};

// Finds the first record in `text` and puts its bytes into `chunk`. Records may stand anywhere in a line, several to
// one. A record is a record only if all of it is right; one that was cut, interleaved or garbled is reported and left
// behind, never mended. `MC:` with anything but base64 behind it is no record, and neither is `ML:` (a compact log).
// Without a record all but a possible beginning is used; with `at_end` nothing follows the text. A record of more than
// `max_chunk_bytes` is reported, so a caller never has to show more text than that takes.
ConsoleStep scan_console(std::string_view text, bool at_end, std::size_t max_chunk_bytes, std::string& chunk);

}  // namespace fieldpipe::memfault
