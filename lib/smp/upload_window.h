// SPDX-License-Identifier: MIT
// Which part of a file goes next while several are under way: the upload of images and files, without its packets and
// clock. After NordicSemiconductor/Android-nRF-Connect-Device-Manager mcumgr-core Uploader.kt, with resumption.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "core/result.h"

namespace fieldpipe::smp {

// The device answers each part with the offset where it wants to go on, and drops a part that does not begin there. So
// an answer that is behind its part means that something was lost: the answers under way are awaited, then sending goes
// on from where the device is. A device works in order: an answer settles all that was sent before it.
class UploadWindow {
 public:
  // Attempts in a row that got the device no further, and starts from the beginning, before it is called stuck.
  static constexpr unsigned kMaxFailures = 5;
  static constexpr unsigned kMaxRestarts = 5;
  // Answers with progress after a time limit had passed, until the window opens again.
  static constexpr unsigned kCarefulAnswers = 4;

  // For a file of `total_bytes`; `parts` (at least 1) may be under way at a time.
  UploadWindow(std::uint64_t total_bytes, std::size_t parts) : total_bytes_(total_bytes), parts_(parts) {}

  // Offset of the part to send now; nothing while answers must come first. The first part, which is at 0 and carries
  // what describes the file, goes alone.
  [[nodiscard]] std::optional<std::uint64_t> next() const;

  // A part of `bytes` bytes at next() went out under this number.
  void sent(std::uint64_t number, std::uint64_t bytes);

  // The answer to the part of this number: the device goes on at `offset`. Answers to parts that are not under way are
  // ignored. Fails with kBadData for an offset beyond the file.
  Result<void> answered(std::uint64_t number, std::uint64_t offset);

  // No answer came in time. Gives whether sending starts again from where the device is; what else was under way then
  // is not awaited, and its answers are late ones.
  bool lost(std::uint64_t number);

  // The device has all of it.
  [[nodiscard]] bool complete() const { return opened_ && acknowledged_ >= total_bytes_; }

  // Trying on would be in vain.
  [[nodiscard]] bool stuck() const { return failures_ > kMaxFailures || restarts_ > kMaxRestarts; }

  // Bytes that the device has.
  [[nodiscard]] std::uint64_t acknowledged_bytes() const { return acknowledged_; }

  // Whether the last part is under way, after which a device may take long.
  [[nodiscard]] bool ends_with(std::uint64_t offset, std::uint64_t bytes) const {
    return offset + bytes >= total_bytes_;
  }

  // Answers that said that something was lost, time limits that passed, starts from the beginning.
  [[nodiscard]] std::uint64_t repairs() const { return repairs_; }

 private:
  struct Part {
    std::uint64_t number;
    std::uint64_t begin;
    std::uint64_t end;
  };

  void go_back(std::uint64_t offset);
  void settle();

  std::uint64_t total_bytes_;
  std::size_t parts_;
  std::deque<Part> under_way_;  // in the order of sending
  std::uint64_t next_ = 0;      // where sending goes on
  std::uint64_t acknowledged_ = 0;
  std::uint64_t furthest_ = 0;         // acknowledged_ at its best since the start from the beginning
  std::optional<std::uint64_t> back_;  // where to go on once nothing is under way
  bool opened_ = false;                // the first part was answered
  unsigned careful_ = 0;               // answers until more than one part may be under way
  unsigned failures_ = 0;
  unsigned restarts_ = 0;
  std::uint64_t repairs_ = 0;
};

}  // namespace fieldpipe::smp
