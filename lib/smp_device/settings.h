// SPDX-License-Identifier: MIT
// The settings group: values that run, and those that were saved. zephyrproject-rtos/zephyr
// subsys/mgmt/mcumgr/grp/settings_mgmt/src/settings_mgmt.c.
#pragma once

#include <map>
#include <string>

#include "smp/settings.h"
#include "smp_device/answer.h"

namespace fieldpipe::smp_device {

// Knows the keys below `app/`; app/interval is there from the start.
class Settings {
 public:
  [[nodiscard]] Answer read(const smp::settings::Read::Request& request) const;
  Answer write(const smp::settings::Write::Request& request);
  Answer remove(const smp::settings::Delete::Request& request);
  Answer save();

  // Saved values replace those that run, which a start of the device does, too.
  Answer load();

  // Group 63: what was saved is gone; what runs stays until the next start.
  Answer erase();

 private:
  using Values = std::map<std::string, std::string>;
  static Values defaults();

  Values values_ = defaults();
  Values saved_;
};

}  // namespace fieldpipe::smp_device
