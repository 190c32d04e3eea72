// SPDX-License-Identifier: MIT
// Small files that are replaced as a whole: state of a program, figures for others to read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"

namespace fieldpipe::io {

enum class Durable : std::uint8_t { kNo, kYes };

// Puts `text` where the file `path` was, by a temporary name beside it, so that a reader sees the old or the new text
// and never a part. With kYes the new one is there after a power cut as well. Fails with kIo, and with kUnavailable
// when the disk is full; the old file is then as it was.
Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode, Durable durable);

// Where a file of this name goes: links are followed, also to what does not exist yet, so that the file they name is
// replaced and not the link. Not for links that go in a circle, of which stat(2) says ELOOP.
std::string follow_links(const std::string& path);

// The whole of a file of at most `max_bytes`. Fails with kNoInput where there is none, kBadData where it is larger, and
// kIo.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace fieldpipe::io
