// SPDX-License-Identifier: MIT
// The files of one spool folder: private to their owner, never followed through a link, names made durable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::spool {

// An open folder. Failures are kIo, but kUnavailable where the disk (or the quota) is full or the system has no
// descriptor or memory left, which passes, and kNoInput where the name does not exist.
class Directory {
 public:
  // Opens `path`. With `create`, missing folders are made (0700) and their names synced. A folder that is another
  // user's or that others may enter is refused (kConfig).
  static Result<Directory> open(const std::string& path, bool create);

  // Makes the file `name` (0600) with `size_bytes` of zeros that are really on the disk, where the file system can do
  // that. There is no such file after a failure.
  Result<io::Descriptor> create(const std::string& name, std::uint64_t size_bytes) const;

  // Opens the file `name`.
  [[nodiscard]] Result<io::Descriptor> open_file(const std::string& name, bool writable) const;

  // Replaces `to`.
  Result<void> rename(const std::string& from, const std::string& to) const;
  Result<void> remove(const std::string& name) const;

  // Makes what was created, renamed and removed here durable.
  Result<void> sync() const;

  // All names but . and .., sorted.
  [[nodiscard]] Result<std::vector<std::string>> names() const;

  // Bytes an ordinary user may still take on this file system, and its size.
  struct Space {
    std::uint64_t free_bytes = 0;
    std::uint64_t size_bytes = 0;
  };
  [[nodiscard]] Result<Space> space() const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Directory(io::Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  io::Descriptor descriptor_;
  std::string path_;
};

// Writes all of `bytes` at `offset`.
Result<void> write_at(const io::Descriptor& file, Bytes bytes, std::uint64_t offset);

// Reads up to `size_bytes` at `offset` into `out`, which gets what there was.
Result<void> read_at(const io::Descriptor& file, std::uint64_t offset, std::size_t size_bytes, std::string& out);

// fdatasync. After a failure the file's unsynced bytes may be lost although a second call would succeed: never call it
// again for bytes that were not written anew.
Result<void> sync_data(const io::Descriptor& file);

// Makes `file` at least `size_bytes` long, with room on the disk for all of it where the file system can promise that.
Result<void> allocate(const io::Descriptor& file, std::uint64_t size_bytes);

// The length of `file`, and making it shorter or longer. Both fail with kIo.
Result<std::uint64_t> file_bytes(const io::Descriptor& file);
Result<void> truncate(const io::Descriptor& file, std::uint64_t size_bytes);

}  // namespace fieldpipe::spool
