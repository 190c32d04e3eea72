// SPDX-License-Identifier: MIT
// Text that comes in pieces as whole lines, and an account of those that were no good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/result.h"

namespace fieldpipe::record {

// Hands the lines of a text on one by one. A line that is longer than any may be is passed over as it comes, so that
// its length costs no memory.
class LineCutter {
 public:
  // Takes the whole lines at the front of `text`, and with `at_end` also the rest; gives the number of bytes taken.
  // `take(line)` gets each line without its LF, `too_long(start)` the start of each that has more than `most_bytes`;
  // both give a Result<void>, whose failure ends the feeding and is passed on.
  template <typename Take, typename TooLong>
  Result<std::size_t> feed(std::string_view text, bool at_end, std::size_t most_bytes, Take&& take,
                           TooLong&& too_long) {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* at = begin;
    while (at != end) {
      const auto* found = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
      const auto length = static_cast<std::size_t>((found != nullptr ? found : end) - at);
      if (found == nullptr && !at_end) {
        if (length <= most_bytes && !skipping_) break;
        const std::string_view start(std::exchange(at, end), length);
        if (std::exchange(skipping_, true)) break;
        ++lines_;
        if (Result<void> told = too_long(start); !told) return fail(std::move(told));
        break;
      }
      const std::string_view line(at, length);
      at += length + (found != nullptr ? 1 : 0);
      if (std::exchange(skipping_, false)) continue;
      ++lines_;
      if (Result<void> taken = length <= most_bytes ? take(line) : too_long(line); !taken)
        return fail(std::move(taken));
    }
    return static_cast<std::size_t>(at - begin);
  }

  // Lines so far: the number of the current one, counted from 1.
  [[nodiscard]] std::uint64_t lines() const { return lines_; }

 private:
  std::uint64_t lines_ = 0;
  bool skipping_ = false;  // inside a line that is longer than any may be
};

// Lines that could not be read: all are counted, the first is named. When strict, the first one is an error.
class LineFaults {
 public:
  explicit LineFaults(bool strict) : strict_(strict) {}

  Result<void> add(std::uint64_t line, std::string_view reason) {
    if (strict_) return fail(ErrorCode::kBadData, fmt::format("line {}: {}", line, reason));
    if (count_++ == 0) first_ = fmt::format("line {}: {}", line, reason);
    return {};
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }

  // `2 of 3 lines could not be read; the first, line 2: ...`
  [[nodiscard]] std::string summary(std::uint64_t lines) const {
    return fmt::format("{} of {} lines could not be read; {}{}", count_, lines, count_ > 1 ? "the first, " : "",
                       first_);
  }

 private:
  bool strict_;
  std::uint64_t count_ = 0;
  std::string first_;
};

}  // namespace fieldpipe::record
