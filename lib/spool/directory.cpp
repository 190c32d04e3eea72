// SPDX-License-Identifier: MIT
#include "spool/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fmt/format.h>

namespace fieldpipe::spool {
namespace {

using io::Descriptor;

tl::unexpected<Error> file_failure(std::string_view action, int error_number) {
  Error error = io::system_error(action, error_number);
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: error.code = ErrorCode::kUnavailable; break;
    default: break;
  }
  return tl::make_unexpected(std::move(error));
}

template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::string parent_of(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    if (errno != ENOENT || parent_of(path) == path) return file_failure(path, errno);
    if (auto made = make_folder(parent_of(path)); !made) return made;
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return file_failure(path, errno);
  }
  const std::string parent = parent_of(path);
  const Descriptor descriptor(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::fsync(descriptor.get()) != 0) return file_failure(parent, errno);
  return {};
}

}  // namespace

Result<Directory> Directory::open(const std::string& path, bool create) {
  if (create) {
    if (auto made = make_folder(path); !made) return fail(std::move(made));
  }
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status {};
  if (!descriptor || ::fstat(descriptor.get(), &status) != 0) return file_failure(path, errno);
  if (status.st_uid != ::geteuid()) {
    return fail(ErrorCode::kConfig, fmt::format("{}: belongs to user {}, not to {}", path, status.st_uid, ::geteuid()));
  }
  if ((status.st_mode & 077U) != 0) {
    return fail(ErrorCode::kConfig, fmt::format("{}: mode {:04o} lets others in", path, status.st_mode & 07777U),
                fmt::format("chmod 700 {}", path));
  }
  return Directory(std::move(descriptor), path);
}

Result<Descriptor> Directory::create(const std::string& name, std::uint64_t size_bytes) const {
  Descriptor file(::openat(descriptor_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return file_failure(fmt::format("create {}", name), errno);
  if (auto allocated = allocate(file, size_bytes); !allocated) {
    ::unlinkat(descriptor_.get(), name.c_str(), 0);
    return fail(std::move(allocated));
  }
  return file;
}

Result<Descriptor> Directory::open_file(const std::string& name, bool writable) const {
  Descriptor file(::openat(descriptor_.get(), name.c_str(),
                           (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return file_failure(name, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kIo, fmt::format("{}: not a regular file", name));
  return file;
}

Result<void> Directory::rename(const std::string& from, const std::string& to) const {
  if (::renameat(descriptor_.get(), from.c_str(), descriptor_.get(), to.c_str()) != 0) {
    return file_failure(fmt::format("rename {}", from), errno);
  }
  return {};
}

Result<void> Directory::remove(const std::string& name) const {
  if (::unlinkat(descriptor_.get(), name.c_str(), 0) != 0) return file_failure(fmt::format("remove {}", name), errno);
  return {};
}

Result<void> Directory::sync() const {
  if (::fsync(descriptor_.get()) != 0) return file_failure(fmt::format("sync {}", path_), errno);
  return {};
}

Result<std::vector<std::string>> Directory::names() const {
  // A descriptor of its own, because the position in a folder belongs to the open file.
  const int fd = ::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_failure(path_, errno);
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(fd));
  if (!stream) return file_failure(path_, errno);
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = ::readdir(stream.get()); errno = 0) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return file_failure(path_, errno);
  std::sort(names.begin(), names.end());
  return names;
}

Result<Directory::Space> Directory::space() const {
  struct statvfs status {};
  if (::fstatvfs(descriptor_.get(), &status) != 0) return file_failure(path_, errno);
  return Space{std::uint64_t{status.f_bavail} * status.f_frsize, std::uint64_t{status.f_blocks} * status.f_frsize};
}

Result<void> write_at(const Descriptor& file, Bytes bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count =
        uninterrupted([&] { return ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (count < 0) return file_failure("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> read_at(const Descriptor& file, std::uint64_t offset, std::size_t size_bytes, std::string& out) {
  out.resize(size_bytes);
  std::size_t used = 0;
  while (used < size_bytes) {
    const ssize_t count = uninterrupted(
        [&] { return ::pread(file.get(), out.data() + used, size_bytes - used, static_cast<off_t>(offset + used)); });
    if (count < 0) return file_failure("read", errno);
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  out.resize(used);
  return {};
}

Result<void> sync_data(const Descriptor& file) {
  if (::fdatasync(file.get()) != 0) return file_failure("fdatasync", errno);
  return {};
}

Result<void> allocate(const Descriptor& file, std::uint64_t size_bytes) {
  if (size_bytes == 0) return {};
  const auto size = static_cast<off_t>(size_bytes);
  int result = uninterrupted([&] { return ::fallocate(file.get(), 0, 0, size); });
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) result = ::ftruncate(file.get(), size);
  if (result != 0) return file_failure(fmt::format("allocate {} bytes", size_bytes), errno);
  return {};
}

Result<std::uint64_t> file_bytes(const Descriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return file_failure("fstat", errno);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> truncate(const Descriptor& file, std::uint64_t size_bytes) {
  if (uninterrupted([&] { return ::ftruncate(file.get(), static_cast<off_t>(size_bytes)); }) != 0) {
    return file_failure("truncate", errno);
  }
  return {};
}

}  // namespace fieldpipe::spool
