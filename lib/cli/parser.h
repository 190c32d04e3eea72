// SPDX-License-Identifier: MIT
// From what a user typed, exported and configured to the targets of an option table.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_table.h"
#include "core/result.h"

namespace fieldpipe::cli {

// Where settings can come from besides the command line.
struct Surroundings {
  std::string tool;  // as fc-encode; gives the prefix of the environment names
  // The value of an environment variable, nothing if it is unset.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // Implicit configuration files in order of strength; empty for a pure filter. `--config FILE`
  // excludes them; otherwise the first that exists is used alone.
  std::vector<std::string> configuration_files;
  bool reads_configuration = true;  // from these files and the one of --config
};

// Stores into the targets of `table` what the command line `arguments` (without the program's name),
// the environment and the configuration file say, the stronger level replacing the weaker one.
// Fails with kUsage (command line, or a contradiction at one level) or kConfig (environment, file),
// naming the option and where it was set.
Result<void> parse_options(const OptionTable& table, const std::vector<std::string>& arguments,
                           const Surroundings& surroundings);

// The environment variable of an option: FC_ENCODE_MAX_BYTES for fc-encode's --max-bytes.
std::string environment_name(std::string_view tool, std::string_view option);

}  // namespace fieldpipe::cli
