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
#include "core/metrics.h"
#include "http/client.h"
#include "io/loop.h"
#include "memfault/upload.h"
#include "relay/schedule.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace fieldpipe::relay {

struct UploadSettings {
  std::string endpoint{memfault::kChunkEndpoint};  // of lanes that name none; http::check_base_url() takes it
  // The project key of a device whose lane names none; empty where none is configured, and its chunks wait.
  std::function<std::string(std::string_view device)> project_key;
  Limits limits;  // connections of the HTTP client beyond `requests` are used while others are slow
  std::chrono::nanoseconds startup_splay{0};  // nothing is sent for up to so long, by chance
  std::optional<std::uint64_t> seed;          // of the random part of waits, for tests
  bool dry_run = false;  // each request is printed, nothing is sent, and what was printed is finished
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
// with nothing to tell it when records were accepted: it asks the spool, of which all lanes must be relay::lane()'s.
// Memory is bounded by connections times batch_bytes whatever the backlog. `out` gets a line of JSON for each request
// that ended; the owner writes it out. Waits after failures are kept in the file `pauses` of the spool's folder.
class Uploader {
 public:
  // With so much in `out` that its reader has not taken no request is begun.
  static constexpr std::size_t kMostUnreadBytes = std::size_t{256} << 10U;

  // All of these must outlive the uploader. Nobody else uses `client`; no more requests are on their way than it takes.
  Uploader(spool::Spool& spool, spool::DeadLetters& dead_letters, http::Client& client, UploadSettings settings,
           std::string& out, cli::Report& report);
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;
  ~Uploader();  // gives requests on their way up, and keeps pauses

  // Registers what it waits for.
  void watch(io::Loop& loop) const;

  // When turn() wants to be called although nothing is ready.
  [[nodiscard]] MonotonicTime deadline() const;

  // Call it also after records were accepted.
  void turn(const io::Loop& loop);

  // Begins no more requests. Those on their way are still waited for, while idle() is false.
  void stop();

  // No request is on its way, and a dry run has nothing left to print.
  [[nodiscard]] bool idle() const;

  // Asks for project keys again (HUP), and tries now whatever the pauses say, that at most once in 30 s. A clock that
  // is set has the second effect by itself.
  void hurry();

  // What became of the chunks so far.
  [[nodiscard]] Drain drain() const;

  // Adds what this half knows; spool::add_metrics() has the rest.
  void add_metrics(Metrics& metrics) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fieldpipe::relay
