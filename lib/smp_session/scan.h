// SPDX-License-Identifier: MIT
// What could be a device: the serial ports of this machine, and what Bluetooth hears.
#pragma once

#include <chrono>
#include <string>

#include "cli/report.h"
#include "core/result.h"
#include "io/loop.h"

namespace fieldpipe::smp_session {

// Appends an NDJSON object for each serial port of this machine: `kind`, `connect` as --connect takes it, and what the
// system knows of the adapter. `root` stands for the file system's, in tests. Ports by a name that stays (below
// /dev/serial/by-id) come with that name.
Result<void> scan_serial(std::string& out, const std::string& root = {});

// Serial ports, and then the Bluetooth devices that are heard within `listen`. No Bluetooth is no failure: `report`
// says so with --verbose.
void scan(std::string& out, const std::string& adapter, std::chrono::nanoseconds listen, io::Loop& loop,
          cli::Report& report);

}  // namespace fieldpipe::smp_session
