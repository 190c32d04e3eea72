// SPDX-License-Identifier: MIT
// Readings of binary messages as text: one frame a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "can/frame.h"

namespace fieldpipe::flexconnect {

// A reading with its place in the stream.
struct Reading {
  std::int64_t time_ms = 0;  // since 1970
  unsigned bus = 0;
  std::uint64_t message_number = 0;  // of the message in the stream, from 1
  can::Frame frame{};
};

// Appends one NDJSON line:
//
//   {"time":1622547800.000,"bus":1,"id":291,"extended":false,"fd":false,"dlc":8,"data":"0102030405060708","message_number":1}
//
// A remote frame or error message, which some writers keep, has "remote":true or "error":true before "message_number".
// `members` is put behind the last member; it is empty or begins with a comma.
void append_ndjson(std::string& out, const Reading& reading, std::string_view members = {});

// The first line of a CSV file, with its line feed.
inline constexpr std::string_view kCsvHeader = "time,bus,id,extended,fd,dlc,data,message_number,kind\n";

// Appends one CSV line (RFC 4180 but for the LF) in the columns of kCsvHeader; `kind` is data, remote or error.
void append_csv(std::string& out, const Reading& reading);

// Appends one line of candump's log form, with the interface's name in place of the bus.
void append_candump(std::string& out, const Reading& reading, std::string_view interface);

}  // namespace fieldpipe::flexconnect
