// SPDX-License-Identifier: MIT
// What uplink-serve can be told, by options and by uplink's two files.
#pragma once

#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/report.h"
#include "core/result.h"
#include "io/descriptor.h"
#include "mqtt/message.h"
#include "spool/spool.h"
#include "uplink_service/service.h"

namespace fieldpipe::uplink_service {

struct Options {
  std::string config;
  std::string auth;
  bool check_config = false;
  std::string metrics_path;
  spool::Options spool;
};

// Declares all options of uplink-serve but --stop-timeout.
void declare(cli::OptionTable& table, Options& options);

// Certificates and keys of a device file as files: the MQTT library takes no other form. They are in memory only, and
// there as long as this object.
class KeyFiles {
 public:
  // A path of a file that holds `text`. Fails with kIo.
  Result<std::string> add(std::string_view name, std::string_view text);

 private:
  std::vector<io::Descriptor> files_;
};

// Reads both files and the password. Warnings go to the report. Fails with kUsage without a device file, with kConfig,
// and as cli::read_secret does.
Result<Settings> settings(const Options& options, KeyFiles& keys, cli::Report& report);

// Both spools: `streams` and `actions` in the folder that --spool or the configuration's persistence_path says, else
// where spool::open says. Fails as that does.
struct Spools {
  spool::Spool data;
  spool::Spool statuses;
};
Result<Spools> open_spools(const Options& options, const Settings& settings, cli::Report& report);

// What the settings come to, one thing a line.
std::string print_settings(const Settings& settings);

}  // namespace fieldpipe::uplink_service
