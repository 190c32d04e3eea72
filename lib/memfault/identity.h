// SPDX-License-Identifier: MIT
// What names a device and its project. Both come from strangers and end up in URLs, headers and file names, so nothing
// passes that would mean something there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::memfault {

// The longest serial that is accepted: it names a path segment and a file.
inline constexpr std::size_t kMaxDeviceBytes = 128;

// memfault/memfault-firmware-sdk: components/include/memfault/core/project_key.h.
inline constexpr std::size_t kProjectKeyBytes = 32;

// Whether `text` is a device serial: 1 to 128 of A-Z a-z 0-9 _ - (memfault/memfault-firmware-sdk:
// components/include/memfault/core/platform/device_info.h). A UUID is one, too. Fails with kBadData and what is wrong.
Result<void> check_device(std::string_view text);

// Whether `text` is a project key: 32 of A-Z a-z 0-9. Fails with kBadData; the message does not show the key.
Result<void> check_project_key(std::string_view text);

// `text` with asterisks for all that may be a project key, to be kept or shown.
std::string without_project_keys(std::string_view text);

}  // namespace fieldpipe::memfault
