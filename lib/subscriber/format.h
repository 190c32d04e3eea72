// SPDX-License-Identifier: MIT
// Messages as text by a pattern, as `mosquitto_sub -F` prints them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "json/reader.h"
#include "mqtt/message.h"

namespace fieldpipe::subscriber {

// A pattern is text in which these stand for a part of the message:
//
//   %t topic       %p payload     %l its length     %x %X payload in hex
//   %q QoS         %r retained    %m packet id      %j %J all as JSON, payload as string or as JSON
//   %I time as 2026-01-31T12:00:00+0000             %U seconds since 1970, with nanoseconds
//   @C local time by strftime's %C; @N nanoseconds  %% @@ the characters themselves
//   %C content type  %R response topic  %P user properties as key:value  %E expiry interval
//   \\ \a \e \n \r \t \v \0                           as in C
//
//   "%t %x\n"   two fields and an empty line between messages
//   "%z"        refused
//
// mosquitto_sub's field widths are not known.
class Format {
 public:
  // Fails with kUsage and names what does not belong.
  static Result<Format> parse(std::string_view pattern);

  // Appends `message` as the pattern says, without a line end. Fails with kBadData for %J of a payload
  // that is not JSON; `out` may then hold a part. `reader` is working memory.
  Result<void> append(std::string& out, const mqtt::Received& message, WallTime at, json::Reader& reader) const;

 private:
  enum class Kind : std::uint8_t { kText, kPart, kClock };
  struct Piece {
    Kind kind;
    std::string text;  // kPart and kClock: the one letter
  };
  std::vector<Piece> pieces_;
};

}  // namespace fieldpipe::subscriber
