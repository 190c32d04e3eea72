// SPDX-License-Identifier: MIT
// The text that candump of can-utils prints, line by line: every form and option of it read, the log form written.
// Forms as in linux-can/can-utils: candump.c, lib.c (v2020.11.0 to 2026-05).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "can/frame.h"

namespace fieldpipe::can {

// The longest line that is read, without its LF. The longest candump prints is a CAN XL log line of some 4160.
inline constexpr std::size_t kMaxCandumpLineBytes = 8192;

// The latest time that is read or printed: 2262-04-11, where nanoseconds leave 64 bits.
inline constexpr std::int64_t kMaxCandumpSeconds = 9'223'372'035;

// The longest interface name: IFNAMSIZ of linux/if.h without its NUL.
inline constexpr std::size_t kMaxInterfaceBytes = 15;

enum class LineClass : std::uint8_t {
  kFrame,      // a frame of any Kind, also error messages and CAN XL
  kDropCount,  // candump -d tells of frames it lost
  kNote,       // legal text that is no frame: blank, comment, detail of an error message, candump's own notices
  kBad,        // none of these; never guessed at
};

// What the time stamp of a line counts from.
enum class TimeBase : std::uint8_t {
  kNone,      // no time stamp
  kAbsolute,  // 1970-01-01 UTC: -ta, with -H perhaps the controller's own clock
  kRelative,  // the first line (-tz) or the line before (-td); one line cannot tell which
  kLocal,     // calendar time in an unnamed zone: -tA
};

// Why a line is bad. Texts are static, `text` is a view into the line.
struct CandumpFault {
  std::string_view reason;  // names the limit that was broken
  std::string_view text;    // the part that broke it, perhaps empty; pass through printable() before printing
  std::string_view hint;    // empty where there is none
};

// One parsed line. Only the members of its class mean anything; one value serves a whole stream. Views point into
// the line.
struct CandumpLine {
  // kFrame
  TimeBase time_base = TimeBase::kNone;
  char direction = 0;        // 'R' received, 'T' transmitted, 0 not shown
  bool flags_shown = false;  // whether the line shows BRS and ESI of this CAN FD frame; if not, both are false
  std::int64_t time_ns = 0;  // since the base; kLocal: as if the zone were UTC; beyond nanoseconds cut; 0 for kNone
  std::string_view interface;
  Frame frame{};

  std::uint64_t dropped_frames = 0;  // kDropCount: since candump's last such line

  CandumpFault fault;  // kBad
};

// `line` without a UTF-8 byte order mark in front. For the first line of an input only.
std::string_view strip_bom(std::string_view line);

// Parses one line without its LF; a CR at the end and colour codes (-c) are ignored. The form is told anew for each
// line, so forms may mix in a stream. Does not allocate and keeps no state.
//
// A CAN FD length that is no legal one is kept as it is, with the length code that holds it. A kXl frame holds its
// priority as identifier and no data. `flags_shown` and the frame say what the line tells: the screen form shows
// CAN FD flags only with -x, and raw length codes only with -8.
LineClass parse_candump(std::string_view line, CandumpLine& out);

// Appends one line in log form, as `candump -L` prints it and canplayer, log2asc and parse_candump take back, with
// its LF: `(1700000000.123456) can0 123#1122`. `time_ns` counts from 1970 and must not be negative; it is cut to
// microseconds, because canplayer takes no other number of digits than 6 or 9. Prints nothing for kXl.
void append_candump(std::string& out, std::int64_t time_ns, std::string_view interface, const Frame& frame);

}  // namespace fieldpipe::can
