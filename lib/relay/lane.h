// SPDX-License-Identifier: MIT
// The name of a relay's lane in the spool: whose chunks they are, and where they go.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fieldpipe::relay {

// The queue of one device, project and server; order is kept inside a lane only. The device comes first and the first
// NUL byte ends it, so that what shows lanes can show that part alone: behind it may be a project key.
struct Lane {
  std::string_view device;
  std::string_view endpoint;     // empty: that of the run that delivers, so that a wrong --endpoint can be corrected
  std::string_view project_key;  // empty: the one configured for the device, so that a wrong key can be corrected
};

// The lane's name: device NUL endpoint NUL key. None of the three may hold a NUL.
std::string lane(const Lane& lane);

// The parts of a name, as views of it, or nothing where it is none of ours.
std::optional<Lane> parse_lane(std::string_view name);

}  // namespace fieldpipe::relay
