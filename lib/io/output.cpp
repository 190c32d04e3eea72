// SPDX-License-Identifier: MIT
#include "io/output.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fmt/format.h>

#include "io/file.h"

namespace fieldpipe::io {
namespace {

bool would_block(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

}  // namespace

Result<Descriptor> open_to_write(const std::string& path, int flags) {
  sigset_t stops;
  sigset_t before;
  sigemptyset(&stops);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&stops, signal);
  pthread_sigmask(SIG_UNBLOCK, &stops, &before);
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | flags, 0666));
  const int error_number = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!file) return tl::make_unexpected(system_error(path, error_number));
  // Only after the open, which has to wait for the reader of a named pipe.
  if (::fcntl(file.get(), F_SETFL, (flags & O_APPEND) | O_NONBLOCK) != 0) {
    return tl::make_unexpected(system_error(path, errno));
  }
  return file;
}

Output::Output(Descriptor owned, int fd, std::string name) : owned_(std::move(owned)), fd_(fd), name_(std::move(name)) {
  buffer_.reserve(2 * kBlockBytes);
}

Output::~Output() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<Output> Output::standard(bool binary) {
  if (binary && ::isatty(STDOUT_FILENO) != 0) {
    return fail(ErrorCode::kUsage, "stdout is a terminal and the output is binary", "--to hex, or redirect it");
  }
  struct stat status {};
  if (::fstat(STDOUT_FILENO, &status) != 0) return tl::make_unexpected(system_error("stdout", errno));
  // Closed at start, or opened for reading: opening it anew below would hide that.
  if ((::fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY) {
    return tl::make_unexpected(system_error("stdout", EBADF));
  }
  if (S_ISREG(status.st_mode)) {
    Output output({}, STDOUT_FILENO, "stdout");
    output.never_blocks_ = true;
    return output;
  }
  // A write must not wait, or a stop signal could not be seen while the reader is slow. O_NONBLOCK on
  // stdout itself would also change it for the processes that share it, so a pipe or terminal is
  // opened once more for ourselves; where that is not allowed, small writes do (write_some).
  Descriptor own(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)
                     ? ::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                     : -1);
  const int fd = own ? own.get() : STDOUT_FILENO;
  const bool reopened = static_cast<bool>(own);
  Output output(std::move(own), fd, "stdout");
  output.never_blocks_ = reopened;
  return output;
}

Result<Output> Output::open(const std::string& path, bool binary) {
  if (path.empty() || path == "-") return standard(binary);
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (!exists && errno == ELOOP) return tl::make_unexpected(system_error(path, errno));
  if (exists && !S_ISREG(status.st_mode)) {
    auto file = open_to_write(path, 0);
    if (!file) return fail(std::move(file));
    const int fd = file->get();
    Output output(*std::move(file), fd, path);
    output.never_blocks_ = true;
    return output;
  }
  const std::string target = follow_links(path);
  std::string temporary = target + ".XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) {
    Error error = system_error(path, errno);
    error.code = ErrorCode::kIo;
    return tl::make_unexpected(std::move(error));
  }
  // mkostemp makes the file private; an output file has the modes of the one it replaces, or the
  // usual ones.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = exists ? status.st_mode & 07777U : 0666U & ~mask;
  const int fd = file.get();
  if (::fchmod(fd, mode) != 0) return tl::make_unexpected(system_error(path, errno));
  Output output(std::move(file), fd, target);
  output.temporary_ = std::move(temporary);
  output.never_blocks_ = true;
  return output;
}

Result<std::size_t> Output::write_some(const char* data, std::size_t size) {
  ssize_t count = 0;
  do {
    if (never_blocks_) {
      count = ::write(fd_, data, size);
    } else {
      count = ::send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      // Not a socket. A pipe that poll calls writable takes PIPE_BUF bytes without waiting (pipe(7)).
      if (count < 0 && errno == ENOTSOCK) count = ::write(fd_, data, std::min<std::size_t>(size, PIPE_BUF));
    }
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (would_block(errno)) return std::size_t{0};
    return tl::make_unexpected(system_error(name_, errno));
  }
  return static_cast<std::size_t>(count);
}

Result<void> Output::flush(Loop& loop) {
  Result<void> written;
  if (!failed_) written = write_all(loop);
  failed_ = failed_ || !written;
  buffer_.clear();
  return written;
}

Result<void> Output::write_all(Loop& loop) {
  std::size_t done = 0;
  bool may_write = never_blocks_;
  while (done < buffer_.size()) {
    if (!may_write) {
      loop.watch(fd_, POLLOUT);
      if (auto waited = loop.wait(std::nullopt); !waited) return waited;
      if (!loop.ready(fd_, POLLOUT)) continue;
    }
    auto written = write_some(buffer_.data() + done, buffer_.size() - done);
    if (!written) return fail(std::move(written));
    done += *written;
    may_write = never_blocks_ && *written > 0;
  }
  return {};
}

Result<void> Output::offer(const Loop& loop) {
  std::size_t done = 0;
  bool may_write = never_blocks_ || loop.ready(fd_, POLLOUT);
  while (done < buffer_.size() && may_write && !failed_) {
    const auto written = write_some(buffer_.data() + done, buffer_.size() - done);
    if (!written) {
      failed_ = true;
      buffer_.clear();
      return fail(Result<std::size_t>(written));
    }
    done += *written;
    may_write = never_blocks_ && *written > 0;
  }
  buffer_.erase(0, failed_ ? std::string::npos : done);
  return {};
}

Result<void> Output::finish(Loop& loop) {
  if (auto flushed = flush(loop); !flushed) return flushed;
  if (!temporary_.empty() && !failed_) {
    if (::fsync(fd_) != 0) return tl::make_unexpected(system_error(name_, errno));
    if (auto closed = owned_.close(); !closed) return tl::make_unexpected(std::move(closed).error().in(name_));
    if (::rename(temporary_.c_str(), name_.c_str()) != 0) return tl::make_unexpected(system_error(name_, errno));
    temporary_.clear();
  }
  return {};
}

}  // namespace fieldpipe::io
