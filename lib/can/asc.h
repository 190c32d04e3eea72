// SPDX-License-Identifier: MIT
// The text logs of Vector's tools (ASC), line by line: CAN, CAN FD and error frames. The format as linux-can/can-utils
// reads and writes it (asc2log.c, log2asc.c).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "can/candump.h"

namespace fieldpipe::can {

// The longest line that is read, without its LF.
inline constexpr std::size_t kMaxAscLineBytes = 8192;

// The highest channel; channels count from 1.
inline constexpr unsigned kMaxAscChannel = 255;

// Parses the lines of one file from the first to the last, because the header says how to read the others:
//
//   date Tue Nov 14 10:13:20.123 pm 2023
//   base hex  timestamps absolute
//   0.000000 1  123             Rx   d 2 11 22
//   0.876549 2  12345678x       Rx   r 4
//   1.376544 CANFD   1 Rx        123                                   1 0 3  3 AA BB CC   130000  130     3000 0 0 0 0
//   0 1.576544 1  ErrorFrame
//
// What comes out is as from parse_candump(), with these meanings. Channel 1 is the interface `can0`, as in can-utils.
// An identifier is one of 29 bits if an x stands behind it. An error frame tells nothing but that there was one: class
// 0x80 (bus error), 8 zero bytes. A CAN XL frame has its identifier as priority.
//
// Times are those since the start of the log, whether the file counts from the start or from line to line. Where the
// header (or else the first trigger block) has a date they are TimeBase::kLocal, otherwise kRelative and to be read as
// RelativeTimes::kZero. Without `base` in the header numbers are hex, and times count from the start.
//
// Everything that is no frame is a note: header, comments, trigger blocks, statistics, events of other buses.
class AscParser {
 public:
  // Parses one line without its LF; a CR at the end is ignored. Views in `out` point into the line or, the interface,
  // into this parser, where it stays until the next call. Does not allocate.
  LineClass parse(std::string_view line, CandumpLine& out);

  // Whether `line` can only be the first of an ASC file, not of one of candump: `date ...` or `base ...`.
  static bool is_header(std::string_view line);

 private:
  class LineParser;

  LineClass parse_header(std::string_view word, std::string_view rest, CandumpLine& out);

  std::optional<std::int64_t> start_ns_;  // the date, as if the zone were UTC
  std::int64_t last_ns_ = 0;              // time of the line before, since the start
  int base_ = 16;
  bool since_last_ = false;  // times count from line to line
  std::array<char, 8> interface_{};
};

}  // namespace fieldpipe::can
