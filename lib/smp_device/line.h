// SPDX-License-Identifier: MIT
// One direction of a link that loses, damages, repeats, delays and reorders what it carries, the same way in each run.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/clock.h"
#include "io/socket.h"

namespace fieldpipe::smp_device {

// Shares are from 0 to 1, of packets, in each direction.
struct Faults {
  double drop = 0;
  double garble = 0;
  double duplicate = 0;
  double reorder = 0;
  std::chrono::nanoseconds delay{};  // of each answer
  std::uint64_t seed = 1;
};

// A packet on its way, or what frames it; `peer` is who sent it or gets it, where the link has several.
struct Parcel {
  std::string bytes;
  io::SocketAddress peer;
};

class Line {
 public:
  // How long a parcel that others overtake is held back.
  static constexpr std::chrono::milliseconds kHeldBack{5};

  // Two lines of one link have different `number`s. `checked` says that the receiver's checksum finds what is garbled,
  // which is then lost instead.
  Line(const Faults& faults, std::uint64_t number, bool checked);

  // Puts a parcel on the line, to arrive after `delay`.
  void put(Parcel parcel, MonotonicTime now, std::chrono::nanoseconds delay);

  // Appends what has arrived, in the order of arrival.
  void take(MonotonicTime now, std::vector<Parcel>& arrived);
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // What is on its way is lost.
  void clear() { under_way_.clear(); }

 private:
  bool happens(double share);

  Faults faults_;
  bool checked_;
  std::mt19937_64 random_;
  std::multimap<MonotonicTime, Parcel> under_way_;  // by arrival
};

}  // namespace fieldpipe::smp_device
