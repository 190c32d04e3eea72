// SPDX-License-Identifier: MIT
// Group 3: settings, whose values are bytes of which nothing on the wire tells the type. zephyrproject-rtos/zephyr
// doc/services/device_mgmt/smp_groups/smp_group_3.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "smp/message.h"

namespace fieldpipe::smp::settings {

// The bytes of a setting, at most `max_bytes`.
struct Read {
  static constexpr Command kCommand{Group::kSettings, 0, Op::kRead};
  struct Request {
    std::string name;
    std::optional<std::uint64_t> max_bytes;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("max_size", self.max_bytes);
    }
  };
  struct Response {
    ByteString value;
    std::optional<std::uint64_t> max_bytes;  // where the device takes less than was asked for

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("val", self.value);
      f("max_size", self.max_bytes);
    }
  };
};

// Changes the running value; Save makes it durable.
struct Write {
  static constexpr Command kCommand{Group::kSettings, 0, Op::kWrite};
  struct Request {
    std::string name;
    ByteString value;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("val", self.value);
    }
  };
  using Response = Nothing;
};

// Removes a setting.
struct Delete {
  static constexpr Command kCommand{Group::kSettings, 1, Op::kWrite};
  using Request = ByName;
  using Response = Nothing;
};

// Has the modules of the device take over what was written.
struct Commit {
  static constexpr Command kCommand{Group::kSettings, 2, Op::kWrite};
  using Request = Nothing;
  using Response = Nothing;
};

// Reads all settings from the flash.
struct Load {
  static constexpr Command kCommand{Group::kSettings, 3, Op::kRead};
  using Request = Nothing;
  using Response = Nothing;
};

// Writes what has changed to the flash.
struct Save {
  static constexpr Command kCommand{Group::kSettings, 3, Op::kWrite};
  using Request = Nothing;
  using Response = Nothing;
};

}  // namespace fieldpipe::smp::settings
