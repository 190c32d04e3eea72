// SPDX-License-Identifier: MIT
// Group 63: what only Zephyr has. zephyrproject-rtos/zephyr doc/services/device_mgmt/smp_groups/smp_group_63.rst.
#pragma once

#include "smp/message.h"

namespace fieldpipe::smp::zephyr {

// Wipes the settings partition; takes seconds.
struct EraseStorage {
  static constexpr Command kCommand{Group::kZephyr, 0, Op::kWrite};
  using Request = Nothing;
  using Response = Nothing;
};

}  // namespace fieldpipe::smp::zephyr
