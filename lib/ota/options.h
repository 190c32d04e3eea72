// SPDX-License-Identifier: MIT
// What mflt-ota can be told, and the two things it needs to ask: who the device is, and its project's key.
#pragma once

#include <string>

#include "cli/option_table.h"
#include "cli/progress.h"
#include "core/result.h"
#include "http/client.h"
#include "io/loop.h"
#include "io/options.h"
#include "io/output.h"
#include "memfault/release.h"

namespace fieldpipe::ota {

struct Options {
  Options() { http.connections = 1; }

  memfault::DeviceInfo device;  // what of it was given as options
  std::string project_key_file;
  std::string api{memfault::kReleaseApi};
  std::string fetch;  // the file to download to; empty: no download
  http::ClientOptions http;
  cli::ProgressForm progress = cli::ProgressForm::kAuto;
  io::StopOptions stop;
};

// Declares all options of mflt-ota.
void declare(cli::OptionTable& table, Options& options);

// The device as the record on stdin has it, with what the options say in place of its fields; stdin is not read where
// they say all that the question needs. Fails with kBadData for a record that is none, an empty one included.
Result<memfault::DeviceInfo> device(const Options& options, io::Loop& loop, io::Output& out);

// The key from its file, the service manager, MEMFAULT_PROJECT_KEY or the record. To be called when the record has
// arrived, because a pipeline may write the file just before it prints the record. Fails with kDenied where there is
// none.
Result<std::string> project_key(const Options& options, const memfault::DeviceInfo& device);

}  // namespace fieldpipe::ota
