// SPDX-License-Identifier: MIT
// The text in which pauses are kept across restarts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "relay/schedule.h"

namespace fieldpipe::relay {

// No more than this is written or read; later ones are left out, which costs a probe each.
inline constexpr std::size_t kMostPauses = 8192;
inline constexpr std::size_t kMostPausesBytes = std::size_t{1} << 20U;

// A line with the time of writing, then one for each pause.
std::string print_pauses(const std::vector<Pause>& pauses, WallTime now);

// What print_pauses() printed, less the time that has passed since. The clock may have been set meanwhile: where it
// went back, nothing has passed; none is negative or longer than kLongestPause. Lines that are none are left out, and
// nothing is believed of a text that does not begin as it should.
std::vector<Pause> parse_pauses(std::string_view text, WallTime now);

}  // namespace fieldpipe::relay
