// SPDX-License-Identifier: MIT
// What uplink-send can be told, and what becomes of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/report.h"
#include "core/result.h"
#include "io/socket.h"
#include "uplink/line_encoder.h"
#include "uplink_client/actions.h"
#include "uplink_client/client.h"

namespace fieldpipe::uplink_client {

struct Options {
  io::Endpoint service{{}, 5050, {}};
  bool retry = false;
  bool wait_stored = false;
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  std::size_t buffer_bytes = std::size_t{4} << 20U;
  uplink::LineSettings lines;
  bool strict = false;
  bool prints_actions = false;
  ActionSettings actions;
  std::string state;
  bool status = false;
  std::vector<std::string> operands;  // of --status
};

// Declares all of them.
void declare(cli::OptionTable& table, Options& options);

// Fails with kUsage for what cannot go together.
Result<Settings> settings(const Options& options);

// The line that --status sends; nothing without it. Fails with kUsage.
Result<std::optional<std::string>> status_line(const Options& options);

// The handlers of --exec with their journal; nothing without it. Fails as Journal::open and cli::state_directory do.
Result<std::optional<Actions>> actions(const Options& options, cli::Report& report);

}  // namespace fieldpipe::uplink_client
