// SPDX-License-Identifier: MIT
// The two acknowledgement files: which records are finished. They may lag behind the truth and never run ahead.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/result.h"
#include "spool/format.h"
#include "spool/index.h"

namespace fieldpipe::spool {

// Ranges are appended to one file until it is full; then what still matters is written to the other, which takes over
// once it is synced. Both have their space from the start, so that a full disk does not stop progress.
class Acknowledgements {
 public:
  // Goes on behind what load() found. Neither opens nor makes a file before compact() does.
  Acknowledgements(const Index& index, std::uint64_t file_bytes);

  // Appends a range to the current file. It is durable after sync(). Fails when there is no room or no current file, or
  // after a failure: compact() then.
  Result<void> append(const Range& range);

  // Writes what `index` says to the other file, syncs it, and makes it the current one. After a failure the current one
  // is what it was.
  Result<void> compact(const Directory& directory, Index& index, const ProgressHeader& header);

  // Makes all that was appended durable; does nothing when it is.
  Result<void> sync();

  // What the two files take on the disk.
  [[nodiscard]] std::uint64_t bytes() const { return files_[0].capacity_bytes + files_[1].capacity_bytes; }

 private:
  struct File {
    io::Descriptor descriptor;
    std::uint64_t capacity_bytes = 0;
  };

  Result<void> prepare(const Directory& directory, std::size_t number, std::uint64_t needed_bytes);

  std::uint64_t file_bytes_;
  std::array<File, 2> files_;
  std::size_t current_;
  std::uint64_t generation_;
  std::uint32_t seed_ = 0;
  std::uint64_t used_bytes_ = 0;
  bool usable_ = false;  // the current file takes ranges
  bool dirty_ = false;
  std::string buffer_;
};

}  // namespace fieldpipe::spool
