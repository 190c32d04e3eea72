// SPDX-License-Identifier: MIT
// SMP over a console: packets as base64 lines between log text. zephyrproject-rtos/zephyr
// subsys/mgmt/mcumgr/transport/src/serial_util.c, apache/mynewt-mcumgr transport/smp-console.md.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"

namespace fieldpipe::smp {

// A line with marker and line feed, as long as Zephyr takes it.
inline constexpr std::size_t kConsoleLineBytes = 127;

// A line that has not ended by then is text.
inline constexpr std::size_t kMaxConsoleLineBytes = std::size_t{16} * 1024;

// Whether a line is one of a frame, as a device that reads line by line tells: it begins with a marker.
bool begins_with_marker(std::string_view line);

// Appends a packet (of at most kMaxPacketBytes) as lines of at most `line_bytes`, 8 or more.
void append_console_lines(std::string& out, Bytes packet, std::size_t line_bytes = kConsoleLineBytes);

// Takes packets out of what a console prints. Frames may begin anywhere, also behind a prompt; lines may end with CR
// LF, be longer than Zephyr's, and be cut at any character of the base64 text. A packet with a wrong length or checksum
// is dropped: nothing on this layer asks for it again, the time limit of the request does.
class ConsoleReceiver {
 public:
  // Appends the packets that are complete with these bytes to `packets`, and to `text` all that is no frame, unchanged.
  void receive(Bytes bytes, std::vector<std::string>& packets, std::string& text);

  // The line has gone: what was held back because it could have become a frame is text.
  void finish(std::string& text);

 private:
  void end_line(std::vector<std::string>& packets, std::string& text);
  void give_up_line(std::string& text);
  void take(std::vector<std::string>& packets);
  void drop_packet();

  std::string line_;      // the line that may be one of a frame, with its marker; or the first byte of a marker
  bool in_line_ = false;  // the marker is complete
  bool in_packet_ = false;
  std::string carried_;  // base64 of a line before, less than four characters
  std::string decoded_;  // of the packet, with length in front and checksum behind
};

}  // namespace fieldpipe::smp
