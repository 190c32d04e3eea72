// SPDX-License-Identifier: MIT
// Linked into a second fault driver: system calls that lie, so that the fault tests can show that they would notice.
// FIELDPIPE_BREAK names the lie: fdatasync (does nothing), directory (the sync of a folder does nothing), order (the
// acknowledgement files are written only after the next file was removed).
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

bool broken(std::string_view what) {
  static const char* const value = std::getenv("FIELDPIPE_BREAK");
  return value != nullptr && what == value;
}

bool is_acknowledgement(int fd) {
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)).find("acknowledged-") !=
                         std::string_view::npos;
}

struct Write {
  int fd;
  std::string bytes;
  off_t offset;
};
std::vector<Write> held;

}  // namespace

extern "C" {

int fdatasync(int fd) {
  if (broken("fdatasync") || (broken("order") && is_acknowledgement(fd))) return 0;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

int fsync(int fd) {
  if (broken("directory")) return 0;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  if (broken("order") && is_acknowledgement(fd)) {
    held.push_back({fd, std::string(static_cast<const char*>(bytes), size), offset});
    return static_cast<ssize_t>(size);
  }
  return static_cast<ssize_t>(::syscall(SYS_pwrite64, fd, bytes, size, offset));
}

int unlinkat(int folder, const char* name, int flags) {
  const int result = static_cast<int>(::syscall(SYS_unlinkat, folder, name, flags));
  for (const Write& write : held) {
    ::syscall(SYS_pwrite64, write.fd, write.bytes.data(), write.bytes.size(), write.offset);
  }
  held.clear();
  return result;
}
}
