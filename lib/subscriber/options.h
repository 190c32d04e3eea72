// SPDX-License-Identifier: MIT
// What mqtt-sub can be told about subscription, output and end.
#pragma once

#include <chrono>
#include <optional>

#include "cli/option_table.h"
#include "core/result.h"
#include "mqtt/options.h"
#include "subscriber/subscriber.h"

namespace fieldpipe::subscriber {

struct Options {
  Settings settings;
  std::optional<std::chrono::nanoseconds> deadline;
  mqtt::ConnectionOptions connection;
};

// Declares all of it but the options of the connection: mqtt::declare() does, after these.
void declare(cli::OptionTable& table, Options& options);

// What the options add up to. Starts the time limit. Fails with kUsage where there is no topic, and for what the form
// of output cannot show.
Result<Settings> settings(const Options& options);

}  // namespace fieldpipe::subscriber
