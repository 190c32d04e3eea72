// SPDX-License-Identifier: MIT
#include "spool/acknowledgements.h"

#include <algorithm>
#include <utility>

namespace fieldpipe::spool {

Acknowledgements::Acknowledgements(const Index& index, std::uint64_t file_bytes)
    : file_bytes_(file_bytes), current_(index.progress_file == 1 ? 1U : 0U), generation_(index.progress.generation) {}

Result<void> Acknowledgements::append(const Range& range) {
  if (!usable_ || used_bytes_ + range_bytes(range.lane.size()) > files_[current_].capacity_bytes) {
    return fail(ErrorCode::kUnavailable, "no room for another range");
  }
  buffer_.clear();
  append_range(buffer_, seed_, range);
  if (auto written = write_at(files_[current_].descriptor, as_bytes(buffer_), used_bytes_); !written) {
    usable_ = false;
    return written;
  }
  used_bytes_ += buffer_.size();
  dirty_ = true;
  return {};
}

Result<void> Acknowledgements::compact(const Directory& directory, Index& index, const ProgressHeader& header) {
  ProgressHeader next = header;
  next.generation = generation_ + 1;
  const std::uint32_t seed = progress_seed(next.id, next.generation);
  begin_progress(buffer_, next);
  append_ranges(index, buffer_, seed);
  end_progress(buffer_);
  const std::size_t other = 1 - current_;
  if (auto prepared = prepare(directory, other, buffer_.size()); !prepared) return prepared;
  File& file = files_[other];
  // A generation that was written in part is never used again, so that its ranges cannot be taken for later ones.
  generation_ = next.generation;
  if (auto written = write_at(file.descriptor, as_bytes(buffer_), 0); !written) return written;
  if (auto synced = sync_data(file.descriptor); !synced) return synced;
  current_ = other;
  seed_ = seed;
  used_bytes_ = buffer_.size();
  usable_ = true;
  dirty_ = false;
  // The next one to be written has to have its space before the disk is full. Where there is none, it is tried again.
  (void)prepare(directory, 1 - current_, buffer_.size());
  return {};
}

Result<void> Acknowledgements::sync() {
  if (!usable_) return fail(ErrorCode::kIo, "the acknowledgement file failed before");
  if (!dirty_) return {};
  if (auto synced = sync_data(files_[current_].descriptor); !synced) {
    usable_ = false;  // what was to be synced may be gone; only writing it anew helps
    return synced;
  }
  dirty_ = false;
  return {};
}

Result<void> Acknowledgements::prepare(const Directory& directory, std::size_t number, std::uint64_t needed_bytes) {
  File& file = files_[number];
  if (!file.descriptor) {
    auto opened = directory.open_file(kProgressNames[number], true);
    if (opened) {
      const auto size = spool::file_bytes(*opened);
      if (!size) return fail(Result<std::uint64_t>(size));
      file.capacity_bytes = *size;
    } else {
      opened = directory.create(kProgressNames[number], file_bytes_);
      if (!opened) return fail(std::move(opened));
      file.capacity_bytes = file_bytes_;
    }
    if (auto synced = directory.sync(); !synced) return synced;
    file.descriptor = std::move(*opened);
  }
  // Half of the file is for what will be appended, where the disk has room for that.
  const std::uint64_t wanted = std::max(file_bytes_, 2 * needed_bytes);
  if (file.capacity_bytes < wanted) {
    if (allocate(file.descriptor, wanted)) {
      file.capacity_bytes = wanted;
    } else if (file.capacity_bytes < needed_bytes) {
      return fail(ErrorCode::kUnavailable, "no room for the finished ranges");
    }
  }
  return {};
}

}  // namespace fieldpipe::spool
