// SPDX-License-Identifier: MIT
// Whatever a server says, the wait is between a second and a day, or none; and a date counts alike on every clock.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "memfault/retry_after.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view value = text.substr(0, text.find('\n'));
  const std::string_view date = text.substr(std::min(value.size() + 1, text.size()));
  const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20);
  const auto wait = memfault::parse_retry_after(value, date, now);
  if (wait && (*wait < std::chrono::seconds(1) || *wait > memfault::kMostRetryAfter)) std::abort();
  if (memfault::parse_http_date(date, now) &&
      memfault::parse_retry_after(value, date, now + std::chrono::hours(9)) != wait) {
    std::abort();
  }
  return 0;
}
