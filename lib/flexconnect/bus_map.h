// SPDX-License-Identifier: MIT
// Interface names and the eight bus numbers of FlexConnect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace fieldpipe::flexconnect {

// The upper three bits of a reading's bus byte (FlexConnect developer guide, binary payload).
inline constexpr unsigned kBuses = 8;

// Which bus number an interface has: what was mapped, else the decimal number 0..7 at the end of its
// name (can0, vcan3, slcan7), else none. Never a number modulo eight, which would mix two buses.
class BusMap {
 public:
  // Maps from `NAME=N`; a later one replaces an earlier one of that name. Fails with kUsage.
  Result<void> add(std::string_view mapping);

  [[nodiscard]] std::optional<unsigned> bus_of(std::string_view interface) const;

  // The name to print for a bus: the first one mapped to it, else can0..can7.
  [[nodiscard]] std::string interface_of(unsigned bus) const;

 private:
  std::vector<std::pair<std::string, unsigned>> mapped_;
};

}  // namespace fieldpipe::flexconnect
