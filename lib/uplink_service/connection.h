// SPDX-License-Identifier: MIT
// One application: lines in, lines out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::uplink_service {

// Lines that were taken stay in the buffer until accept() says that they are safe; after rewind() they come again. So a
// disk that fails costs no line, and what is read is bounded by what can be accepted.
class Connection {
 public:
  explicit Connection(io::Descriptor socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int descriptor() const { return socket_.get(); }

  struct Line {
    std::string_view text;           // without LF; of one that is too long its start
    std::size_t readable_bytes = 0;  // behind it, whatever they hold
    bool too_long = false;
  };

  // Whether there is room to read more.
  [[nodiscard]] bool wants_more() const { return !ended_ && room() > 0; }

  // Reads what has come, up to a share of the loop's turn.
  void read(MonotonicTime now);

  // The next line, nothing when there is none. Valid until the next read(). unread() puts it back.
  std::optional<Line> next_line();
  void unread();

  // All lines since the last call are safe, or they are not and are to come again.
  void accept();
  void rewind();

  // `number` is to be confirmed when the lines before are accepted.
  void promise(std::uint32_t number) { promises_.push_back(number); }

  // Another client has come, which this one is told. What it has sent is still read, until it closes or is silent for
  // a moment.
  void leave(MonotonicTime now);

  // When read() wants to be called although nothing has come.
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // Nothing more comes from the other side, every line of it was accepted, and it was told so.
  [[nodiscard]] bool finished() const { return ended_ && begin_.at == end_ && (out_.empty() || leaving_); }

  // Whether it has said that it sends no more, or was told so; it gets no more actions then.
  [[nodiscard]] bool ended() const { return ended_; }

  // How the end left a part of a line that is no line.
  [[nodiscard]] bool cut_short() const { return cut_short_; }

  // Puts an action on its way, in one write where the system takes it. `number` is for carried().
  void send_action(std::string_view line, std::uint64_t number);
  [[nodiscard]] bool busy() const { return carried_.has_value(); }

  // The number of the action that is all with the system now; once.
  std::optional<std::uint64_t> take_sent();

  // Sends what is left to send.
  void flush();
  [[nodiscard]] bool wants_to_send() const { return !out_.empty(); }

 private:
  struct Position {
    std::size_t at = 0;          // in the buffer
    bool skipping = false;       // inside a line that is too long
    std::size_t long_lines = 0;  // in a row
  };
  [[nodiscard]] std::size_t room() const;
  void end();

  io::Descriptor socket_;
  std::string buffer_;
  Position begin_;           // accepted up to here
  Position at_;              // taken up to here
  Position before_line_;     // and before the last line
  std::size_t end_ = 0;      // of what was read
  std::size_t scanned_ = 0;  // no LF between at_ and here
  bool leaving_ = false;
  MonotonicTime leaves_{};  // at the latest
  MonotonicTime quiet_{};   // and when nothing has come by then
  bool ended_ = false;
  bool last_line_counts_ = false;  // the other side ended in good order
  bool cut_short_ = false;

  std::vector<std::uint32_t> promises_;
  std::string out_;
  std::optional<std::uint64_t> carried_;
  bool broken_ = false;
};

}  // namespace fieldpipe::uplink_service
