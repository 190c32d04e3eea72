// SPDX-License-Identifier: MIT
// Writing JSON texts (RFC 8259): each function appends one value to a string. The caller writes the punctuation.
#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace fieldpipe::json {

// Appends `text` as a JSON string with its quotes. UTF-8 is kept as it is; quotes, backslashes and control characters
// below U+0020 are escaped in their shortest form, so that the result is one line. Each byte that is not part of
// well-formed UTF-8 becomes U+FFFD: what comes out is valid JSON whatever goes in.
void append_string(std::string& out, std::string_view text);

// Appends all digits of an integer. Readers that hold numbers as doubles are exact up to 2^53 only.
template <std::integral T>
  requires(!std::same_as<T, bool>)
void append_integer(std::string& out, T value) {
  const fmt::format_int digits(value);
  out.append(digits.data(), digits.size());
}

// Appends the shortest number that reads back as the same double: `22.5`, `1e-09`; a whole number has no point. `value`
// must be finite, because JSON has neither NaN nor infinities.
void append_double(std::string& out, double value);

// Appends seconds as the shortest exact decimal: `1700000000.123456`, `1700000000`, `-0.5`.
void append_seconds(std::string& out, std::chrono::nanoseconds time);

// Appends `true` or `false`.
inline void append_bool(std::string& out, bool value) { out.append(value ? "true" : "false"); }

}  // namespace fieldpipe::json
