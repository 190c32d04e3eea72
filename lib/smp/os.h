// SPDX-License-Identifier: MIT
// Group 0: echo, statistics, time, reset, parameters. zephyrproject-rtos/zephyr
// doc/services/device_mgmt/smp_groups/smp_group_0.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "smp/message.h"

namespace fieldpipe::smp::os {

// Sends the text back.
struct Echo {
  static constexpr Command kCommand{Group::kOs, 0, Op::kWrite};
  struct Request {
    std::string text;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f.lenient("d", self.text);
    }
  };
  struct Response {
    std::string text;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("r", self.text);
    }
  };
};

// A thread. Times and counts are in units of the device.
struct Task {
  std::int64_t priority = 0;
  std::uint64_t id = 0;
  std::uint64_t state =
      0;  // bits: 1 dummy, 2 pending, 4 sleeping, 8 dead, 16 suspended, 32 aborting, 64 suspending, 128 queued
  std::optional<std::uint64_t> stack_size;  // in words of 4 bytes
  std::optional<std::uint64_t> stack_used;  // the same
  std::optional<std::uint64_t> context_switches;
  std::optional<std::uint64_t> runtime;
  std::optional<std::uint64_t> last_checkin;
  std::optional<std::uint64_t> next_checkin;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("prio", self.priority);
    f("tid", self.id);
    f("state", self.state);
    f("stksiz", self.stack_size);
    f("stkuse", self.stack_used);
    f("cswcnt", self.context_switches);
    f("runtime", self.runtime);
    f("last_checkin", self.last_checkin);
    f("next_checkin", self.next_checkin);
  }
};

// The threads by name.
struct TaskStatistics {
  static constexpr Command kCommand{Group::kOs, 2, Op::kRead};
  using Request = Nothing;
  struct Response {
    Named<Task> tasks;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("tasks", self.tasks);
    }
  };
};

// A memory pool: free blocks now, and at the least since the start.
struct Pool {
  std::uint64_t block_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t free = 0;
  std::uint64_t least_free = 0;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("blksiz", self.block_bytes);
    f("nblks", self.blocks);
    f("nfree", self.free);
    f("min", self.least_free);
  }
};

// The pools by name, which are the keys of the answer itself.
struct MemoryPools {
  static constexpr Command kCommand{Group::kOs, 3, Op::kRead};
  using Request = Nothing;
  struct Response {
    Named<Pool> pools;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f.members(self.pools);
    }
  };
};

// `yyyy-MM-ddTHH:mm:ss` with a fraction perhaps, without a zone.
struct ReadDateTime {
  static constexpr Command kCommand{Group::kOs, 4, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::string datetime;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("datetime", self.datetime);
    }
  };
};

// Sets the clock; the same form.
struct WriteDateTime {
  static constexpr Command kCommand{Group::kOs, 4, Op::kWrite};
  struct Request {
    std::string datetime;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("datetime", self.datetime);
    }
  };
  using Response = Nothing;
};

// The answer comes first, the reboot a moment later.
struct Reset {
  static constexpr Command kCommand{Group::kOs, 5, Op::kWrite};
  struct Request {
    bool force = false;
    std::optional<std::uint64_t> boot_mode;  // 0 normal, 1 boot loader

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f.sparse("force", self.force);
      f("boot_mode", self.boot_mode);
    }
  };
  using Response = Nothing;
};

// The buffers of the transport: bytes of one with the header, and how many there are.
struct Parameters {
  static constexpr Command kCommand{Group::kOs, 6, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::uint32_t buffer_bytes = 0;
    std::uint32_t buffers = 0;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("buf_size", self.buffer_bytes);
      f("buf_count", self.buffers);
    }
  };
};

// Format letters: s kernel, n node, r release, v version, b build time, m machine, p processor, i platform, o OS, a
// all. Values may hold the spaces that separate them.
struct Info {
  static constexpr Command kCommand{Group::kOs, 7, Op::kRead};
  struct Request {
    std::optional<std::string> format;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("format", self.format);
    }
  };
  struct Response {
    std::string output;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("output", self.output);
    }
  };
};

// Without a query the name comes, with `mode` the mode: -1 unknown, 0 single, 1 swap with scratch, 2 overwrite, 3 swap
// without scratch, 4 direct XIP, 5 the same with revert, 6 RAM load, 7 firmware loader.
struct BootLoader {
  static constexpr Command kCommand{Group::kOs, 8, Op::kRead};
  struct Request {
    std::optional<std::string> query;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("query", self.query);
    }
  };
  struct Response {
    std::optional<std::string> name;
    std::optional<std::int64_t> mode;
    std::optional<bool> no_downgrade;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("bootloader", self.name);
      f("mode", self.mode);
      f("no-downgrade", self.no_downgrade);
    }
  };
};

}  // namespace fieldpipe::smp::os
