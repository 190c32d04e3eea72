// SPDX-License-Identifier: MIT
// Reading numbers, durations and sizes from text, UTF-8 checks, and making text safe to print.
#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"

namespace fieldpipe {

// The integer that the whole of `text` spells in base `base`, or nothing: no sign but '-', no white
// space, no prefix, no value that does not fit. Independent of the locale.
template <std::integral T>
std::optional<T> parse_integer(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A duration as users write it: digits, perhaps with a fraction, and a unit out of
// `us ms s m h d`, as in `500ms`, `1.5s`, `5m`. A bare number is refused (kUsage), except `0`, unless
// `bare_unit` gives the unit it counts. Cut to nanoseconds; at most some 292 years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text, std::string_view bare_unit = {});

// `value` with the largest unit that leaves a whole number: `1500ms`, `2s`, `5m`.
std::string print_duration(std::chrono::nanoseconds value);

// A time of day: seconds since 1970 (`1700000000.25`), or UTC as RFC 3339 has it (`2023-11-14T22:13:20.25Z`). Cut to
// nanoseconds. Fails with kUsage; from 1970 to 2262.
Result<WallTime> parse_wall_time(std::string_view text);

// A size in bytes: digits and perhaps a unit out of `B kB KB MB GB` (powers of 1000) and
// `KiB MiB GiB` (powers of 1024). Fails with kUsage.
Result<std::uint64_t> parse_size(std::string_view text);

// `bytes` with the largest binary or decimal unit that leaves a whole number: `1MiB`, `100kB`, `17B`.
std::string print_size(std::uint64_t bytes);

// Offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF), or nothing when all of `text` is.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// `text` for a message: control characters and invalid UTF-8 escaped as \n, \x1b..., cut to
// `limit_bytes` with "..." behind, so that what a remote party sends cannot drive the terminal.
std::string printable(std::string_view text, std::size_t limit_bytes = 80);

// `text` without spaces, tabs, CR and LF at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace fieldpipe
