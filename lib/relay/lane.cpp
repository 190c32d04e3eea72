// SPDX-License-Identifier: MIT
#include "relay/lane.h"

namespace fieldpipe::relay {

std::string lane(const Lane& lane) {
  std::string name;
  name.reserve(lane.device.size() + lane.endpoint.size() + lane.project_key.size() + 2);
  name.append(lane.device).push_back('\0');
  name.append(lane.endpoint).push_back('\0');
  return name.append(lane.project_key);
}

std::optional<Lane> parse_lane(std::string_view name) {
  const std::size_t first = name.find('\0');
  if (first == 0 || first == std::string_view::npos) return std::nullopt;
  const std::size_t second = name.find('\0', first + 1);
  if (second == std::string_view::npos || name.find('\0', second + 1) != std::string_view::npos) return std::nullopt;
  return Lane{name.substr(0, first), name.substr(first + 1, second - first - 1), name.substr(second + 1)};
}

}  // namespace fieldpipe::relay
