// SPDX-License-Identifier: MIT
// Group 128: what the Memfault SDK tells of a device. memfault/memfault-firmware-sdk
// ports/zephyr/common/memfault_mcumgr.c.
#pragma once

#include <string>

#include "smp/message.h"

namespace fieldpipe::smp::memfault {

// A field that the firmware does not set is the empty text.
struct ReadDeviceInfo {
  static constexpr Command kCommand{Group::kMemfault, 0, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::string device_serial;
    std::string hardware_version;
    std::string software_type;
    std::string current_version;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("device_serial", self.device_serial);
      f("hardware_version", self.hardware_version);
      f("software_type", self.software_type);
      f("current_version", self.current_version);
    }
  };
};

// A secret.
struct ReadProjectKey {
  static constexpr Command kCommand{Group::kMemfault, 1, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::string project_key;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("project_key", self.project_key);
    }
  };
};

}  // namespace fieldpipe::smp::memfault
