// SPDX-License-Identifier: MIT
#include "io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/text.h"
#include "io/descriptor.h"

namespace fieldpipe::io {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{64} * 1024;

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return tl::make_unexpected(system_error(path, errno));
  // One byte more than a regular file has shows its end without another look; one more than the limit is enough.
  const std::size_t expected = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : kBlockBytes;
  std::string text(std::min(expected, max_bytes) + 1, '\0');
  std::size_t used = 0;
  for (;;) {
    const ssize_t count = ::read(file.get(), text.data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::make_unexpected(system_error(path, errno));
    used += static_cast<std::size_t>(count);
    if (used > max_bytes) {
      return fail(ErrorCode::kBadData, fmt::format("{}: larger than the limit of {}", path, print_size(max_bytes)));
    }
    if (count == 0) break;
    if (used == text.size()) text.resize(used * 2);
  }
  text.resize(used);
  return text;
}

}  // namespace fieldpipe::io
