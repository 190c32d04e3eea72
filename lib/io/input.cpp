// SPDX-License-Identifier: MIT
#include "io/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace fieldpipe::io {
namespace {

// Large enough that system calls do not show in a profile, small enough for the second-level cache.
constexpr std::size_t kBlockBytes = std::size_t{128} * 1024;

}  // namespace

Input::Input(Descriptor owned, int fd, std::string name)
    : owned_(std::move(owned)), fd_(fd), name_(std::move(name)), buffer_(kBlockBytes) {}

Result<Input> Input::standard(bool allow_terminal) {
  if (!allow_terminal && ::isatty(STDIN_FILENO) != 0) {
    return fail(ErrorCode::kUsage, "stdin is a terminal", "pipe data in, or name a file; - reads the terminal");
  }
  return Input({}, STDIN_FILENO, "stdin");
}

Result<Input> Input::open(const std::string& path) {
  if (path == "-") return standard();
  // Without O_NONBLOCK a named pipe would hold us here until it has a writer, deaf to stop signals.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file) return tl::make_unexpected(system_error(path, errno));
  const int fd = file.get();
  return Input(std::move(file), fd, path);
}

Result<void> Input::read_more() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kBlockBytes / 2) buffer_.resize(std::max(buffer_.size() * 2, end_ + kBlockBytes));
  ssize_t count = 0;
  do {
    count = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return {};
  if (count < 0) {
    Error error = system_error(name_, errno);
    error.code = ErrorCode::kIo;
    return tl::make_unexpected(std::move(error));
  }
  at_end_ = count == 0;
  end_ += static_cast<std::size_t>(count);
  return {};
}

}  // namespace fieldpipe::io
