// SPDX-License-Identifier: MIT
// Group 10: which groups a device has. zephyrproject-rtos/zephyr
// doc/services/device_mgmt/smp_groups/smp_group_10.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smp/message.h"

namespace fieldpipe::smp::enumeration {

// How many groups the device has.
struct Count {
  static constexpr Command kCommand{Group::kEnum, 0, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::uint64_t count = 0;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("count", self.count);
    }
  };
};

// The numbers of all groups.
struct List {
  static constexpr Command kCommand{Group::kEnum, 1, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::vector<std::uint16_t> groups;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("groups", self.groups);
    }
  };
};

// One group by its place in the list, from 0; `end` with the last one.
struct Single {
  static constexpr Command kCommand{Group::kEnum, 2, Op::kRead};
  struct Request {
    std::optional<std::uint64_t> index;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("index", self.index);
    }
  };
  struct Response {
    std::uint16_t group = 0;
    bool end = false;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("group", self.group);
      f.sparse("end", self.end);
    }
  };
};

// What is known of a group: its name, and how many commands it handles.
struct Details {
  std::uint16_t group = 0;
  std::optional<std::string> name;
  std::optional<std::uint64_t> handlers;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("group", self.group);
    f("name", self.name);
    f("handlers", self.handlers);
  }
};

// Details of these groups, or of all.
struct ReadDetails {
  static constexpr Command kCommand{Group::kEnum, 3, Op::kRead};
  struct Request {
    std::optional<std::vector<std::uint16_t>> groups;  // nothing: all

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("groups", self.groups);
    }
  };
  struct Response {
    std::vector<Details> groups;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("groups", self.groups);
    }
  };
};

}  // namespace fieldpipe::smp::enumeration
