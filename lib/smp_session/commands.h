// SPDX-License-Identifier: MIT
// What can be asked of a device, by the words that people type: one table for the command line and for batches.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/progress.h"
#include "smp_session/failure.h"
#include "smp_session/session.h"

namespace fieldpipe::smp_session {

// How far an update goes; see upgrade().
enum class UpgradeMode : std::uint8_t { kTest, kPermanent, kUpload };

// What options say about commands.
struct CommandOptions {
  bool show_key = false;
  std::string save_project_key;  // a file; empty: none
  bool force = false;
  std::optional<std::uint64_t> boot_mode;
  std::uint32_t image = 0;
  std::optional<std::uint32_t> slot;
  bool newer_only = false;
  UpgradeMode mode = UpgradeMode::kTest;
  bool no_confirm = false;
  bool dry_run = false;
  std::chrono::nanoseconds reboot_timeout = std::chrono::minutes(5);
};

// The result of a command: one line of JSON without its line feed. `negative` says why it is not what was hoped for, as
// the status of a shell command; empty where it is.
struct Answered {
  std::string json;
  std::string negative;
};

using Words = std::span<const std::string>;

// A command that is one request: what goes out, and what is made of the answer.
struct Plan {
  Request request;
  Outcome<Answered> (*print)(Outcome<cbor::Value> payload);
};

// A command of many requests.
struct Procedure {
  std::function<Outcome<Answered>(Session& session, cli::Progress& progress)> run;
  bool offline = false;  // needs no device
};

// What the words of a user come to: a plan or a procedure.
struct Command {
  std::string name;  // its words, for messages
  std::optional<Plan> plan;
  Procedure procedure;  // where there is no plan
};

// The command that the words spell, with its operands: `image test 8940d2...`. Fails with kUsage.
Result<Command> parse_command(Words words, const CommandOptions& options);

// The request of `raw`: group and command as numbers or names, the payload as JSON.
Result<Plan> plan_raw(smp::Group group, std::uint8_t id, bool write, std::string_view payload_json);

// Each word that is one of a command, once.
std::vector<std::string> command_words();

}  // namespace fieldpipe::smp_session
