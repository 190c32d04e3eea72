// SPDX-License-Identifier: MIT
#include "flexconnect/bus_map.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::flexconnect {

Result<void> BusMap::add(std::string_view mapping) {
  const std::size_t sign = mapping.rfind('=');
  const auto bus = sign == std::string_view::npos ? std::nullopt : parse_integer<unsigned>(mapping.substr(sign + 1));
  if (!bus || *bus >= kBuses || sign == 0) {
    return fail(ErrorCode::kUsage,
                fmt::format("'{}' is not NAME=N with N from 0 to {}", printable(mapping), kBuses - 1));
  }
  const std::string_view name = mapping.substr(0, sign);
  std::erase_if(mapped_, [&](const auto& entry) { return entry.first == name; });
  mapped_.emplace_back(name, *bus);
  return {};
}

std::optional<unsigned> BusMap::bus_of(std::string_view interface) const {
  for (const auto& [name, bus] : mapped_) {
    if (name == interface) return bus;
  }
  const std::size_t digits = interface.size() - (interface.find_last_not_of("0123456789") + 1);
  const auto number = parse_integer<unsigned>(interface.substr(interface.size() - digits));
  if (!number || *number >= kBuses) return std::nullopt;
  return number;
}

std::string BusMap::interface_of(unsigned bus) const {
  for (const auto& [name, mapped] : mapped_) {
    if (mapped == bus) return name;
  }
  return fmt::format("can{}", bus);
}

}  // namespace fieldpipe::flexconnect
