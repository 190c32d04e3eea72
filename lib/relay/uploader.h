// SPDX-License-Identifier: MIT
// The delivering half of a relay: what a spool holds goes to the chunk endpoint, each device's chunks in order.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/report.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace fieldpipe::http {
class Client;
}

namespace fieldpipe::relay {

struct UploadSettings {
  std::string endpoint = "https://chunks.memfault.com";  // of lanes that name none
  // The project key of a device whose lane names none; empty where none is configured, and its chunks wait.
  std::function<std::string(std::string_view device)> project_key;
  std::size_t connections = 8;  // requests at a time, over as many connections
  std::size_t batch_chunks = 100;
  std::size_t batch_bytes = std::size_t{256} << 10U;  // of payload in one request; one larger chunk goes alone
  std::chrono::nanoseconds backoff_base{std::chrono::seconds(1)};  // scales the waits of all classes of failures
  std::optional<std::chrono::nanoseconds> backoff_max;             // bounds them; without it each class has its own
  std::optional<std::uint64_t> seed;                               // of the random part of waits, for tests
  bool dry_run = false;                                            // print requests, send and finish nothing
  std::string state_file;  // keeps pauses across restarts, as DIR/pauses; empty: nothing is kept
};

// What became of the chunks, for the exit status.
struct Drain {
  std::uint64_t remaining = 0;      // accepted and unfinished
  std::uint64_t dead_lettered = 0;  // by this run
  bool denied = false;              // some remain because their project key is refused
  [[nodiscard]] bool delivered() const { return remaining == 0 && dead_lettered == 0; }
};

// A turn of the owner's loop is
//
//   uploader.watch(loop);  loop.wait(min(uploader.deadline(), ...));
//   uploader.turn(loop);                 // answers are taken, requests begin
//
// with nothing to tell it when records were accepted: it asks the spool. Memory is bounded by connections times
// batch_bytes whatever the backlog. `out` gets a line of JSON for each request that ended; the owner flushes it.
class Uploader {
 public:
  // All of these must outlive the uploader.
  Uploader(spool::Spool& spool, spool::DeadLetters& dead_letters, http::Client& client, UploadSettings settings,
           std::string& out, cli::Report& report);
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;
  ~Uploader();

  void watch(io::Loop& loop) const;

  // When turn() wants to be called although nothing is ready; nothing where only answers and new records matter.
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // Call it also after records were accepted. Fails with kIo when the spool cannot be read at all.
  Result<void> turn(io::Loop& loop);

  // Begins no more requests. Those on their way are still waited for, while idle() is false.
  void stop();

  // Gives requests on their way up; their chunks stay queued.
  void abandon();

  // No request is on its way.
  [[nodiscard]] bool idle() const;

  // Try now whatever the pauses say (SIGHUP, a new network); at most once in 30 s.
  void hurry();

  [[nodiscard]] Drain drain() const;

  // Appends counters and gauges in the Prometheus text format; `name` is what they begin with.
  void append_metrics(std::string& out) const;

  // One JSON object with the same figures, for SIGUSR1.
  void append_statistics(std::string& out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fieldpipe::relay
