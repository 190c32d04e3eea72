// SPDX-License-Identifier: MIT
// The answers to actions that are finished, so that an action that comes again is not done again.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.h"
#include "io/descriptor.h"
#include "spool/directory.h"
#include "uplink/action.h"

namespace fieldpipe::uplink_client {

// A file with one line for each final answer, the line that was sent. An answer is on the disk when add() returns, and
// what a crash leaves of a line is dropped. The last kMost answers are kept: the file is written anew, and replaced at
// once, when it holds twice as many lines.
class Journal {
 public:
  static constexpr std::size_t kMost = 1024;

  // Opens the journal `name` in the folder `directory`, and makes both where there are none. Fails as
  // spool::Directory::open does, and with kUnavailable while another process has it.
  static Result<Journal> open(const std::string& directory, const std::string& name);

  // The answer to the action `id`, nothing when it is not known. Valid until the next add().
  [[nodiscard]] const uplink::ActionResponse* find(std::string_view id) const;

  // Fails with kIo, and with kUnavailable where the disk is full; the answer is known all the same until the end of the
  // process.
  Result<void> add(const uplink::ActionResponse& response);

 private:
  Journal(spool::Directory directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}
  Result<void> read();
  Result<void> write_anew();
  void remember(uplink::ActionResponse response);

  spool::Directory directory_;
  std::string name_;
  io::Descriptor lock_;
  io::Descriptor file_;
  std::uint64_t bytes_ = 0;
  std::size_t lines_ = 0;
  std::list<uplink::ActionResponse> answers_;  // oldest first
  std::unordered_map<std::string_view, std::list<uplink::ActionResponse>::iterator> by_id_;
};

}  // namespace fieldpipe::uplink_client
