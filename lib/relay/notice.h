// SPDX-License-Identifier: MIT
// Something that is said at once, and then at most once a minute with how often it was meanwhile.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/clock.h"

namespace fieldpipe::relay {

class Notice {
 public:
  static constexpr std::chrono::seconds kBetween{60};

  // It was once more; whether this is the time to say so.
  bool due(MonotonicTime now) {
    ++count_;
    if (said_ != MonotonicTime::min() && now - said_ < kBetween) return false;
    said_ = now;
    return true;
  }

  // How often it was, since the start.
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  MonotonicTime said_ = MonotonicTime::min();
  std::uint64_t count_ = 0;
};

}  // namespace fieldpipe::relay
