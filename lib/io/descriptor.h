// SPDX-License-Identifier: MIT
// Ownership of a file descriptor, and the system's reasons as Errors.
#pragma once

#include <string_view>
#include <utility>

#include "core/result.h"

namespace fieldpipe::io {

// Owns a descriptor and closes it. Move-only; -1 is "none".
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Closes now and says whether that worked: some file systems report a failed write only here.
  Result<void> close();

 private:
  int fd_ = -1;
};

// The Error for a failed system call: "`action`: <reason of the system>". EPIPE becomes
// kReaderGone, ENOENT kNoInput, all else kIo.
Error system_error(std::string_view action, int error_number);

}  // namespace fieldpipe::io
