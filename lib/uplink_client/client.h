// SPDX-License-Identifier: MIT
// An application of the service: lines up, actions down.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/input.h"
#include "io/loop.h"
#include "io/output.h"
#include "json/reader.h"
#include "record/lines.h"
#include "uplink/action.h"
#include "uplink/line_encoder.h"
#include "uplink_client/actions.h"
#include "uplink_client/link.h"

namespace fieldpipe::uplink_client {

struct Settings {
  LinkSettings link;  // keep_until_stored: checkpoints ask the service to confirm what is on its disk
  uplink::LineSettings lines;
  bool strict = false;  // end at the first line that is no good
};

// Sends the lines of an input as data lines, hands actions out and answers them. Input is read only while there is room
// for what becomes of it, and so are handlers.
//
// With keep_until_stored, checkpoint lines (uplink/stored.h) go between the data: one once a second, or when a quarter
// of the buffer waits for it, and one at the end.
class Client {
 public:
  // `actions` handles actions, `out` gets them as NDJSON; with either of them the client stays when its input ends,
  // until a stop signal.
  Client(Settings settings, std::optional<Actions> actions, std::optional<io::Output> out, cli::Report& report);

  // Sends one line, with its LF, before all others.
  void send_line(std::string_view line) { link_.lines().text() += line; }

  // Runs until everything was sent and read by the other side, or stored there. Fails with kUnavailable when that did
  // not come to pass. What ends the input early is reported, with kIo, or kBadData or kUsage when it is no input at
  // all; what came before is sent.
  Result<void> run(io::Loop& loop, std::optional<io::Input> input);

 private:
  struct Checkpoint {
    std::uint32_t number;
    std::uint64_t offset;  // of the end of its line
  };

  Result<void> turn(io::Loop& loop);
  Result<void> wait(io::Loop& loop);
  Result<void> fill();
  void ask_for_confirmation();
  Result<void> check_confirmation();
  Result<void> take_line(std::string_view line);
  void end_input(Error error);
  void note_stop(const io::Loop& loop);
  [[nodiscard]] bool stays() const { return (actions_ || out_) && !input_ends_; }
  [[nodiscard]] bool wants_input() const { return input_ && !link_.full(); }

  Settings settings_;
  std::optional<Actions> actions_;
  std::optional<io::Output> out_;
  cli::Report& report_;
  Link link_;
  std::optional<io::Input> input_;
  std::optional<Error> input_error_;
  uplink::LineEncoder encoder_;
  record::LineCutter cutter_;
  record::LineFaults faults_;
  json::Reader reader_;
  std::uint64_t unusable_lines_ = 0;  // of the service
  bool done_ = false;

  std::deque<Checkpoint> checkpoints_;  // not answered yet
  std::uint32_t checkpoint_count_ = 0;
  std::uint64_t asked_offset_ = 0;              // before it, all has a checkpoint behind it
  std::optional<MonotonicTime> unasked_since_;  // since when there is something behind that
  std::optional<MonotonicTime> unanswered_since_;
  bool was_answered_ = false;

  std::optional<MonotonicTime> input_ends_;  // after a stop signal
};

}  // namespace fieldpipe::uplink_client
