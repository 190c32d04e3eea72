// SPDX-License-Identifier: MIT
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "io/descriptor.h"

namespace fieldpipe::io {
namespace {

Error disk_error(const std::string& path) {
  const int number = errno;
  Error error = system_error(path, number);
  error.code = number == ENOSPC || number == EDQUOT ? ErrorCode::kUnavailable : ErrorCode::kIo;
  return error;
}

// The temporary name goes away unless it was given up.
struct Temporary {
  explicit Temporary(std::string text) : name(std::move(text)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!name.empty()) ::unlink(name.c_str());
  }
  std::string name;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode, Durable durable) {
  Temporary temporary(path + ".XXXXXX");
  Descriptor file(::mkostemp(temporary.name.data(), O_CLOEXEC));
  if (!file) {
    temporary.name.clear();
    return tl::make_unexpected(disk_error(path));
  }
  if (::fchmod(file.get(), mode) != 0 || !write_all(file.get(), text) ||
      (durable == Durable::kYes && ::fsync(file.get()) != 0)) {
    return tl::make_unexpected(disk_error(path));
  }
  if (auto closed = file.close(); !closed) return closed;
  if (::rename(temporary.name.c_str(), path.c_str()) != 0) return tl::make_unexpected(disk_error(path));
  temporary.name.clear();
  if (durable == Durable::kNo) return {};
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return tl::make_unexpected(disk_error(folder));
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return tl::make_unexpected(system_error(path, errno));
  std::string text(max_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::make_unexpected(disk_error(path));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > max_bytes) return fail(ErrorCode::kBadData, fmt::format("{}: more than {} bytes", path, max_bytes));
  text.resize(size);
  return text;
}

std::string follow_links(const std::string& path) {
  std::filesystem::path place = path;
  std::error_code error;
  while (std::filesystem::is_symlink(place, error)) {
    const auto target = std::filesystem::read_symlink(place, error);
    if (error) break;
    place = place.parent_path() / target;
  }
  return place.string();
}

}  // namespace fieldpipe::io
