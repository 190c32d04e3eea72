// SPDX-License-Identifier: MIT
// Many requests over one connection: NDJSON in, one line for each out, in order, as many under way as the device takes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "cli/progress.h"
#include "core/result.h"
#include "io/input.h"
#include "io/output.h"
#include "json/reader.h"
#include "record/framing.h"
#include "smp_session/commands.h"
#include "smp_session/failure.h"
#include "smp_session/session.h"

namespace fieldpipe::smp_session {

// Appends `"error":{...}` for a failure: group, name and number of a device's code, or the kind of ours, and the
// message.
void append_error(std::string& out, const Failure& failure);

// A line is `{"id":1,"cmd":["image","state"]}` (options of commands may stand among the words) or
// `{"id":1,"group":1,"command":0,"op":"read","payload":{}}`; `id` may be any JSON value, and may be missing. Its answer
// is `{"id":1,"result":{...}}` or `{"id":1,"error":{...}}`. A line that makes no sense is answered, too.
class Batch {
 public:
  // `options` hold for all lines that do not say otherwise.
  Batch(Session& session, const CommandOptions& options, cli::Progress& progress);

  // Until the input ends or a signal asks to stop. Fails where the link goes, and where reading or writing does; what
  // was answered before is out then.
  Result<void> run(io::Input& in, io::Output& out);

  // Lines that were answered, and those of them that got no result.
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

 private:
  struct Item {
    std::string id;                       // JSON; empty: none
    std::optional<std::uint64_t> ticket;  // under way
    Outcome<Answered> (*print)(Outcome<cbor::Value> payload) = nullptr;
    std::optional<Procedure> procedure;  // to run when all before it is answered
    std::optional<std::string> answer;   // the rest of the line
  };

  [[nodiscard]] bool can_take() const;
  Result<void> take_lines(io::Input& in);
  void take_line(std::string_view line);
  Result<Command> parse(std::string_view line, std::string& id);
  Result<Command> parse_words(std::vector<std::string> words);
  Result<void> advance_queue(io::Output& out);
  Result<void> await(io::Input& in, io::Output& out);
  void settle(Item& item, Outcome<Answered> outcome);

  Session& session_;
  const CommandOptions& options_;
  cli::Progress& progress_;
  std::size_t window_ = 1;
  json::Reader reader_;
  record::Splitter splitter_;
  std::deque<Item> items_;
  bool at_end_ = false;
  bool starved_ = false;  // no whole line is left in the window of the input
  std::uint64_t lines_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace fieldpipe::smp_session
