// SPDX-License-Identifier: MIT
// Group 2: statistics. zephyrproject-rtos/zephyr doc/services/device_mgmt/smp_groups/smp_group_2.rst.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "smp/message.h"

namespace fieldpipe::smp::stat {

// The values of a group of statistics by name.
struct Read {
  static constexpr Command kCommand{Group::kStat, 0, Op::kRead};
  using Request = ByName;
  struct Response {
    std::string name;
    Named<std::uint64_t> values;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("fields", self.values);
    }
  };
};

// The names of the groups of statistics.
struct List {
  static constexpr Command kCommand{Group::kStat, 1, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::vector<std::string> names;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("stat_list", self.names);
    }
  };
};

}  // namespace fieldpipe::smp::stat
