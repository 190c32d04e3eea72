// SPDX-License-Identifier: MIT
// What devices answer instead of a result: codes of SMP itself and of its groups, with their names. Tables:
// zephyrproject-rtos/zephyr include/zephyr/mgmt/mcumgr/mgmt/mgmt_defines.h and the grp/*/ headers beside it;
// memfault/memfault-firmware-sdk ports/zephyr/include/memfault/ports/zephyr/memfault_mcumgr.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "smp/packet.h"

namespace fieldpipe::smp {

// The general codes that callers tell apart, as zephyr's enum mcumgr_err_t numbers them.
inline constexpr std::int64_t kNoMemory = 2;
inline constexpr std::int64_t kInvalid = 3;
inline constexpr std::int64_t kTimeout = 4;
inline constexpr std::int64_t kNoEntry = 5;
inline constexpr std::int64_t kMessageSize = 7;
inline constexpr std::int64_t kNotSupported = 8;
inline constexpr std::int64_t kBusy = 10;
inline constexpr std::int64_t kAccessDenied = 11;

// Codes of groups that callers tell apart.
inline constexpr std::int64_t kImageNoFreeSlot = 9;
inline constexpr std::int64_t kImageAlreadyPending = 28;
inline constexpr std::int64_t kFsOffsetNotValid = 11;
inline constexpr std::int64_t kMemfaultNoProjectKey = 2;

// A failure that a device reports.
struct DeviceError {
  std::optional<Group> group;  // whose codes `rc` is of; nothing: the general ones
  std::int64_t rc = 0;
  std::string reason;  // what a verbose build says with a general code; may hold anything

  [[nodiscard]] bool is_general(std::int64_t code) const { return !group && rc == code; }
  [[nodiscard]] bool is(Group of, std::int64_t code) const { return group == of && rc == code; }

  bool operator==(const DeviceError&) const = default;
};

// Name of the code without its prefix: `NO_FREE_SLOT`, `EBUSY`; nothing for a number that is not known.
std::optional<std::string_view> code_name(const DeviceError& error);

// What the code belongs to: `image`, `group 77`, `general`.
std::string print_group(const DeviceError& error);

// As `image error NO_FREE_SLOT (9)`, `error EINVAL (3): magic mismatch`, `error 256`.
std::string print(const DeviceError& error);

// kDenied for a refused access; kUnavailable where the device is busy, out of memory or ran out of time, so that trying
// again may help; else kRefused.
ErrorCode classify(const DeviceError& error);

}  // namespace fieldpipe::smp
