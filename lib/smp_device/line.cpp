// SPDX-License-Identifier: MIT
#include "smp_device/line.h"

#include <utility>

namespace fieldpipe::smp_device {

Line::Line(const Faults& faults, std::uint64_t number, bool checked)
    : faults_(faults), checked_(checked), random_(faults.seed * 2 + number) {}

// Not std::uniform_real_distribution, whose numbers are those of one library.
bool Line::happens(double share) {
  if (share <= 0) return false;
  constexpr unsigned kUnused = 11;  // a double has 53 bits
  return static_cast<double>(random_() >> kUnused) * 0x1p-53 < share;
}

void Line::put(Parcel parcel, MonotonicTime now, std::chrono::nanoseconds delay) {
  if (happens(faults_.drop)) return;
  if (happens(faults_.garble) && !parcel.bytes.empty()) {
    if (checked_) return;
    char& byte = parcel.bytes[random_() % parcel.bytes.size()];
    byte = static_cast<char>(byte ^ static_cast<char>(1 + random_() % 255));
  }
  const MonotonicTime arrives = now + delay + (happens(faults_.reorder) ? kHeldBack : std::chrono::nanoseconds(0));
  if (happens(faults_.duplicate)) under_way_.emplace(arrives, parcel);
  under_way_.emplace(arrives, std::move(parcel));
}

void Line::take(MonotonicTime now, std::vector<Parcel>& arrived) {
  const auto end = under_way_.upper_bound(now);
  for (auto parcel = under_way_.begin(); parcel != end; ++parcel) arrived.push_back(std::move(parcel->second));
  under_way_.erase(under_way_.begin(), end);
}

std::optional<MonotonicTime> Line::deadline() const {
  if (under_way_.empty()) return std::nullopt;
  return under_way_.begin()->first;
}

}  // namespace fieldpipe::smp_device
