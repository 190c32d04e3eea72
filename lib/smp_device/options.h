// SPDX-License-Identifier: MIT
// What smp-sim can be told.
#pragma once

#include <string>

#include "cli/option_table.h"
#include "core/result.h"
#include "io/options.h"
#include "smp_device/device.h"
#include "smp_device/link.h"
#include "smp_device/server.h"

namespace fieldpipe::smp_device {

struct Options {
  Options();

  Place place;
  std::size_t line_bytes = kLineBytes;
  Profile profile;  // without the key and the image; profile() adds them
  std::string project_key_file;
  bool no_key = false;
  std::string image;  // a file; empty: one is made
  ServerSettings server;
  io::StopOptions stop;
};

// Declares all options of smp-sim.
void declare(cli::OptionTable& table, Options& options);

// The device that the options describe. Fails where a file cannot be read, or is no image.
Result<Profile> profile(const Options& options);

}  // namespace fieldpipe::smp_device
