// SPDX-License-Identifier: MIT
// When a server wants to be asked again: Retry-After (RFC 9110 section 10.2.3) in all its forms.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "core/clock.h"

namespace fieldpipe::memfault {

// No longer wait is taken from a server.
inline constexpr std::chrono::seconds kMostRetryAfter = std::chrono::hours(24);

// The wait that the field `value` asks for, at least 1 s and at most kMostRetryAfter: seconds, or a date, which counts
// from the answer's own `date` field, because the clock of this machine may be wrong; only an answer without a date is
// measured by `now`. Nothing for zero, a date that is past, a fraction, a negative number or anything else: what the
// caller would wait anyhow then counts.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, std::string_view date, WallTime now);

// A date in one of the three forms of RFC 9110 section 5.6.7; the year of the second is the one nearest to `now`.
//
//   Sun, 06 Nov 1994 08:49:37 GMT    Sunday, 06-Nov-94 08:49:37 GMT    Sun Nov  6 08:49:37 1994
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text, WallTime now);

}  // namespace fieldpipe::memfault
