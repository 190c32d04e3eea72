// SPDX-License-Identifier: MIT
#include "smp/upload_window.h"

#include <algorithm>

#include <fmt/format.h>

namespace fieldpipe::smp {

std::optional<std::uint64_t> UploadWindow::next() const {
  const std::size_t most = opened_ && careful_ == 0 ? parts_ : 1;
  if (complete() || back_ || under_way_.size() >= most || (opened_ && next_ >= total_bytes_)) return std::nullopt;
  return next_;
}

void UploadWindow::sent(std::uint64_t number, std::uint64_t bytes) {
  under_way_.push_back({number, next_, next_ + bytes});
  next_ += bytes;
}

Result<void> UploadWindow::answered(std::uint64_t number, std::uint64_t offset) {
  const auto found =
      std::find_if(under_way_.begin(), under_way_.end(), [&](const Part& part) { return part.number == number; });
  if (found == under_way_.end()) return {};
  if (offset > total_bytes_) {
    return fail(ErrorCode::kBadData, fmt::format("the device goes on at byte {} of {}", offset, total_bytes_));
  }
  const Part part = *found;
  under_way_.erase(under_way_.begin(), found + 1);
  // An upload that was begun before goes on where it was, even within the first part.
  if (offset >= part.end || (part.begin == 0 && offset > 0)) {
    opened_ = true;
    acknowledged_ = offset;
    next_ = part.begin == 0 ? offset : std::max(next_, offset);
    if (offset > furthest_ || total_bytes_ == 0) {
      furthest_ = offset;
      failures_ = 0;
    }
    if (careful_ > 0) --careful_;
  } else {
    if (offset == 0 && opened_) {
      // The device has forgotten the upload: it wants the first part with all that describes the file.
      opened_ = false;
      acknowledged_ = furthest_ = 0;
      ++restarts_;
    }
    go_back(offset);
  }
  settle();
  return {};
}

bool UploadWindow::lost(std::uint64_t number) {
  const auto found =
      std::find_if(under_way_.begin(), under_way_.end(), [&](const Part& part) { return part.number == number; });
  if (found == under_way_.end()) return false;
  if (opened_ && found->end <= acknowledged_) {
    under_way_.erase(found);
    settle();
    return false;
  }
  // Parts behind it would have been answered by now, but for the last one, whose answer may take long for a reason.
  under_way_.clear();
  careful_ = kCarefulAnswers;
  go_back(acknowledged_);
  settle();
  return true;
}

void UploadWindow::go_back(std::uint64_t offset) {
  if (!back_) {
    ++failures_;
    ++repairs_;
  }
  back_ = std::min(back_.value_or(offset), offset);
}

void UploadWindow::settle() {
  if (!under_way_.empty() || !back_) return;
  next_ = *back_;
  if (opened_) acknowledged_ = next_;
  back_.reset();
}

}  // namespace fieldpipe::smp
