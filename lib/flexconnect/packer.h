// SPDX-License-Identifier: MIT
// Compresses closed messages, on two threads while there is more than one to do, and gives them back in order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/bytes.h"
#include "core/result.h"
#include "flexconnect/message.h"
#include "record/framing.h"

namespace fieldpipe::flexconnect {

// Finished messages to what leaves a tool: compressed as asked, and as records. JSON messages are lines. Compression
// takes ten times as long as everything before it, so there is a second thread for it, and the caller's works too as
// soon as that one falls behind; the bytes are the same with one. What is not asked for stays inside: before the caller
// waits for anything else, it calls drain().
class Packer {
 public:
  // `level` as gzip::Compressor has it; none leaves messages plain. `binary` is how binary messages become records:
  // they do not mark their own end. With `threads` below 2 everything happens in add().
  Packer(std::optional<int> level, unsigned threads, record::Framing binary = record::Framing::kFrames);
  ~Packer();
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // Takes a copy of a message. Appends to `out` those that are finished, in the order they were added.
  Result<void> add(Form form, Bytes message, std::string& out);

  // Finishes and appends everything that was added.
  Result<void> drain(std::string& out);

 private:
  enum class State { kWaiting, kRunning, kDone };
  struct Job {
    Form form = Form::kBinary;
    std::string message;
    std::string finished;
    Result<void> result;
    State state = State::kWaiting;
  };

  // Enough that neither thread waits for the other; each holds one message and its result.
  static constexpr std::size_t kMaxJobs = 4;

  // Compresses and frames one message; each thread has one of its own.
  class Press;

  void work_until_closed();
  Job* next_waiting();
  void run(Job& job, Press& press, std::unique_lock<std::mutex>& lock);
  Result<void> emit_done(std::string& out);
  Result<void> emit_until(std::size_t most_left, std::string& out);

  std::optional<int> level_;
  record::Framing binary_;
  std::unique_ptr<Press> own_press_;
  bool threaded_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;   // oldest first; a deque, because workers hold on to their job
  std::deque<Job> spare_;  // finished ones, for their memory
  bool closed_ = false;
  std::thread worker_;  // started by the second message that is added without drain() between
};

}  // namespace fieldpipe::flexconnect
