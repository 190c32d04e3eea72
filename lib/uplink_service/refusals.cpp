// SPDX-License-Identifier: MIT
#include "uplink_service/refusals.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace fieldpipe::uplink_service {
namespace {

constexpr std::chrono::minutes kPause{1};

}  // namespace

void Refusals::add(std::string_view reason, std::string_view where, std::string_view what, MonotonicTime now) {
  auto found = reasons_.find(reason);
  const bool is_first = found == reasons_.end();
  if (is_first) found = reasons_.emplace(reason, Reason()).first;
  ++found->second.count;
  ++found->second.untold;
  found->second.last = fmt::format("{}: {}", where, what);
  if (is_first) found->second.told = now - kPause;
  tell(now, false);
}

void Refusals::tell(MonotonicTime now, bool all) {
  for (auto& [reason, state] : reasons_) {
    if (state.untold == 0 || (!all && now - state.told < kPause)) continue;
    state.told = now;
    const auto count = std::exchange(state.untold, 0);
    if (count == 1) {
      report_.warn(fmt::format("refused: {}: {}", reason, state.last));
    } else {
      report_.warn(fmt::format("refused {} times: {}; the last one: {}", count, reason, state.last));
    }
  }
}

Metrics::Samples Refusals::samples() const {
  Metrics::Samples samples;
  for (const auto& [reason, state] : reasons_) samples.emplace_back(reason, static_cast<double>(state.count));
  return samples;
}

std::uint64_t Refusals::count() const {
  std::uint64_t sum = 0;
  for (const auto& [reason, state] : reasons_) sum += state.count;
  return sum;
}

}  // namespace fieldpipe::uplink_service
