// SPDX-License-Identifier: MIT
// What could be a device: the serial ports of this machine.
#pragma once

#include <string>

#include "core/result.h"

namespace fieldpipe::smp_session {

// Appends an NDJSON object for each serial port of this machine: `kind`, `connect` as --connect takes it, and what the
// system knows of the adapter. `root` stands for the file system's, in tests. Ports by a name that stays (below
// /dev/serial/by-id) come with that name.
Result<void> scan(std::string& out, const std::string& root = {});

}  // namespace fieldpipe::smp_session
