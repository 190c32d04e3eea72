// SPDX-License-Identifier: MIT
#include "io/descriptor.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace fieldpipe::io {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Descriptor::close() {
  // Linux frees the descriptor even when close fails with EINTR, so it is never tried again.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
    return tl::make_unexpected(system_error("close", errno));
  }
  return {};
}

Error system_error(std::string_view action, int error_number) {
  const ErrorCode code = error_number == EPIPE    ? ErrorCode::kReaderGone
                         : error_number == ENOENT ? ErrorCode::kNoInput
                                                  : ErrorCode::kIo;
  return Error{code, fmt::format("{}: {}", action, std::generic_category().message(error_number)), {}, std::nullopt};
}

}  // namespace fieldpipe::io
