// SPDX-License-Identifier: MIT
#include "cli/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/text.h"

namespace fieldpipe::cli {

Result<std::string> read_small_file(const std::string& path, std::size_t most_bytes) {
  const auto failed = [&](int error_number) {
    return fail(error_number == ENOENT ? ErrorCode::kNoInput : ErrorCode::kIo,
                fmt::format("{}: {}", path, std::generic_category().message(error_number)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return failed(errno);
  std::string text(most_bytes + 1, '\0');
  std::size_t size = 0;
  ssize_t count = 0;
  do {
    count = ::read(fd, text.data() + size, text.size() - size);
    if (count > 0) size += static_cast<std::size_t>(count);
  } while (size < text.size() && (count > 0 || (count < 0 && errno == EINTR)));
  const int error_number = errno;
  ::close(fd);
  if (count < 0) return failed(error_number);
  if (size > most_bytes)
    return fail(ErrorCode::kConfig, fmt::format("{}: longer than {}", path, print_size(most_bytes)));
  text.resize(size);
  return text;
}

}  // namespace fieldpipe::cli
