// SPDX-License-Identifier: MIT
// Messages a second, evenly spread.
#pragma once

#include <algorithm>
#include <chrono>

#include "core/clock.h"

namespace fieldpipe::publisher {

// Says when the next message may go. What a slow input or broker left unused is made good for at most
// kCatchUp, so that a pause is not followed by a burst.
class Pace {
 public:
  static constexpr std::chrono::milliseconds kCatchUp{100};

  // `per_second` 0: no limit.
  explicit Pace(double per_second)
      : step_(per_second > 0
                  ? std::chrono::duration_cast<MonotonicTime::duration>(std::chrono::duration<double>(1 / per_second))
                  : MonotonicTime::duration::zero()) {}

  // When the next message may go: now or earlier means at once.
  [[nodiscard]] MonotonicTime next() const { return next_; }

  // One message goes at `now`.
  void spend(MonotonicTime now) {
    if (step_ > MonotonicTime::duration::zero()) next_ = std::max(next_, now - kCatchUp) + step_;
  }

 private:
  MonotonicTime::duration step_;
  MonotonicTime next_{};
};

}  // namespace fieldpipe::publisher
