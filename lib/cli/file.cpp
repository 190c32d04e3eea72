// SPDX-License-Identifier: MIT
#include "cli/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::cli {
namespace {

// What is asked for first of a file that does not tell its size: a pipe, a device.
constexpr std::size_t kFirstBytes = std::size_t{64} * 1024;

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t most_bytes, ErrorCode too_large) {
  const auto failed = [&](int error_number) {
    return fail(error_number == ENOENT ? ErrorCode::kNoInput : ErrorCode::kIo,
                fmt::format("{}: {}", path, std::generic_category().message(error_number)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed(errno);
  struct stat status {};
  const bool has_size = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  // One byte more shows the end of the file, or that it goes on beyond the limit.
  const std::size_t expected = has_size ? static_cast<std::size_t>(status.st_size) : kFirstBytes;
  std::string text(std::min(expected, most_bytes) + 1, '\0');
  std::size_t size = 0;
  ssize_t count = 0;
  for (;;) {
    count = ::read(fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    size += static_cast<std::size_t>(count);
    if (size > most_bytes) break;
    if (size == text.size()) text.resize(std::min(2 * size, most_bytes + 1));
  }
  const int error_number = errno;
  ::close(fd);
  if (count < 0) return failed(error_number);
  if (size > most_bytes) return fail(too_large, fmt::format("{}: longer than {}", path, print_size(most_bytes)));
  text.resize(size);
  return text;
}

}  // namespace fieldpipe::cli
