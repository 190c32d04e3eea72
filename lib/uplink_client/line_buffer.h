// SPDX-License-Identifier: MIT
// Lines between their making and their arrival.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fieldpipe::uplink_client {

// Holds whole lines in their order: those that were not sent yet, and those that were but may not have arrived, because
// a connection that breaks has them sent again. Offsets count all bytes ever appended.
class LineBuffer {
 public:
  // Append whole lines here.
  std::string& text() { return text_; }

  // What is held.
  [[nodiscard]] std::size_t bytes() const { return text_.size() - begin_; }

  // Whether every line is known to have arrived.
  [[nodiscard]] bool empty() const { return begin_ == text_.size(); }

  // Lines that are not known to have arrived.
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin_), text_.end(), '\n'));
  }

  // What is to be sent next; valid until the next change.
  [[nodiscard]] std::string_view unsent() const { return std::string_view(text_).substr(sent_); }
  void sent(std::size_t bytes) { sent_ += bytes; }

  [[nodiscard]] std::uint64_t sent_offset() const { return dropped_ + sent_; }
  [[nodiscard]] std::uint64_t end_offset() const { return dropped_ + text_.size(); }

  // All before `offset` has arrived, as far as it has been sent. Lines of which this is true are forgotten.
  void confirm(std::uint64_t offset) {
    if (offset <= dropped_ + begin_) return;
    const std::size_t arrived = std::min(static_cast<std::size_t>(offset - dropped_), sent_);
    if (arrived <= begin_) return;
    const std::size_t line_end = text_.rfind('\n', arrived - 1);
    if (line_end == std::string::npos || line_end < begin_) return;
    begin_ = line_end + 1;
    if (begin_ < text_.size() && begin_ < std::max(kWorthMoving, text_.size() / 2)) return;
    text_.erase(0, begin_);
    dropped_ += begin_;
    sent_ -= begin_;
    begin_ = 0;
  }

  // On a new connection, each line of which some is missing has to be sent from its start.
  void rewind() { sent_ = begin_; }

 private:
  static constexpr std::size_t kWorthMoving = std::size_t{64} * 1024;

  std::string text_;
  std::size_t begin_ = 0;      // of the first line that has not arrived as a whole
  std::size_t sent_ = 0;       // not before begin_
  std::uint64_t dropped_ = 0;  // bytes that were in front of text_
};

}  // namespace fieldpipe::uplink_client
