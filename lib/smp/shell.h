// SPDX-License-Identifier: MIT
// Group 9: shell commands. zephyrproject-rtos/zephyr doc/services/device_mgmt/smp_groups/smp_group_9.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smp/message.h"

namespace fieldpipe::smp::shell {

// The status is in `ret`, and in `rc` of old builds.
struct Execute {
  static constexpr Command kCommand{Group::kShell, 0, Op::kWrite};
  struct Request {
    std::vector<std::string> arguments;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("argv", self.arguments);
    }
  };
  struct Response {
    std::string output;
    std::optional<std::int64_t> status;
    std::optional<std::int64_t> old_status;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("o", self.output);
      f("ret", self.status);
      f("rc", self.old_status);
    }
  };
};

}  // namespace fieldpipe::smp::shell
