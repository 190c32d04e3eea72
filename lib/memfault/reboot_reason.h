// SPDX-License-Identifier: MIT
// Why a device rebooted.
#pragma once

#include <cstdint>
#include <string_view>

namespace fieldpipe::memfault {

// The name of a reason (memfault/memfault-firmware-sdk: components/include/memfault/core/reboot_reason_types.h), empty
// for a project's own and for unknown ones.
std::string_view print_reboot_reason(std::uint64_t reason);

}  // namespace fieldpipe::memfault
