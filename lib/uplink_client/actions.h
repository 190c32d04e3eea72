// SPDX-License-Identifier: MIT
// Actions from the service: which command handles which, and what is answered.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report.h"
#include "core/clock.h"
#include "io/loop.h"
#include "json/reader.h"
#include "uplink/action.h"
#include "uplink_client/handler.h"
#include "uplink_client/journal.h"

namespace fieldpipe::uplink_client {

// The command for actions called `name`; an empty name: for all that have no command of their own.
struct Command {
  std::string name;
  std::string line;  // for /bin/sh -c
};

struct ActionSettings {
  std::vector<Command> commands;
  bool answers_all = true;  // also actions without a command: Failed
  bool runs_again = false;  // an action that is finished already
  std::optional<std::chrono::nanoseconds> timeout;
};

// Runs the handlers and appends what is to be answered as lines. For each action: Running, then Progress for each line
// of the handler's stdout, then Completed, or Failed with the end of its stderr; numbered from 1. A final answer is in
// the journal before it is handed out, and an action that has one is answered with it. A repeat of an action that is
// being handled is passed over. What cancel_action names is stopped, and both are answered when it has ended.
class Actions {
 public:
  static constexpr std::size_t kMostAtOnce = 16;

  Actions(ActionSettings settings, Journal journal, cli::Report& report);

  // Answers `action`, now or while it is handled.
  void take(const uplink::Action& action, std::string& out);

  // Stops all handlers; their actions will be answered with Failed.
  void stop();

  [[nodiscard]] bool idle() const { return running_.empty(); }

  // What to wait for, and how long at most, before the next handle(). Without `has_room` handlers are not read from.
  void watch(io::Loop& loop, bool has_room) const;
  [[nodiscard]] MonotonicTime deadline() const;
  void handle(bool has_room, std::string& out);

 private:
  struct Running {
    uplink::ActionResponse response;  // the last one
    std::unique_ptr<Handler> handler;
    std::optional<MonotonicTime> deadline;
    std::string stopped_because;       // the error to answer with; empty: it was not stopped
    std::vector<std::string> cancels;  // ids of the actions that asked for it
  };

  void start(const Command& command, const uplink::Action& action, std::string& out);
  void cancel(const uplink::Action& action, std::string& out);
  void take_progress(Running& running, std::string_view line, std::string& out);
  void finish(Running& running, std::string& out);
  void answer(uplink::ActionResponse& response, std::string& out);
  void answer_once(std::string_view id, std::string_view state, std::vector<std::string> errors, std::string& out);
  [[nodiscard]] const Command* command_for(std::string_view name) const;

  ActionSettings settings_;
  Journal journal_;
  cli::Report& report_;
  json::Reader reader_;
  std::vector<Running> running_;
};

// What a line of a handler's stdout says: `NN%`, `{"progress":NN}` (perhaps with a "state") or any other text.
struct Progress {
  std::optional<std::uint8_t> percent;  // at most 99, because releases before 2.16 take 100 for the end
  std::string state;                    // empty: none is given, or one that would be final
  std::string text;                     // of a line that is neither
};
Progress parse_progress(json::Reader& reader, std::string_view line);

}  // namespace fieldpipe::uplink_client
