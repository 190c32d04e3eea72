// SPDX-License-Identifier: MIT
// Which lane sends next and how much, and what an answer means for the chunks and for whom to wait. Pure: the time is
// passed in, chance is passed in, nothing is sent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "relay/backoff.h"

namespace fieldpipe::relay {

// What an answer means.
struct Outcome {
  Verdict verdict = Verdict::kNetwork;
  bool slow = false;                                      // a server with an error of its own (500): longer waits
  bool stuck = false;                                     // the chunks may be the cause after all: 500, or no answer
  std::optional<std::chrono::nanoseconds> retry_after{};  // as the server told
};

// How often in a row something failed, by verdict.
using Failures = std::array<unsigned, 8>;

// What to do with the chunks of a request that has ended.
enum class Action : std::uint8_t {
  kKeep,        // they stay first in their lane
  kFinish,      // they are delivered
  kDeadLetter,  // it was one, and is the cause
};

// A pause as it is kept across restarts. `id` is a hash of whom it concerns, so that no secret is in the file, and
// another key or endpoint is not affected.
struct Pause {
  std::uint64_t id = 0;
  Verdict failure = Verdict::kNetwork;
  unsigned failures = 0;
  bool breaker = false;
  std::chrono::nanoseconds remaining{0};
};

struct Limits {
  std::size_t requests = 8;  // at a time
  std::size_t batch_chunks = 100;
  std::size_t batch_bytes = std::size_t{256} << 10U;
  Backoff backoff{};
};

// Lanes take turns, one request at a time each. A failure makes those wait whom it concerns: the lane, all lanes with
// its project key, or all of its endpoint. After a wait one request goes out, then two, four, and all again. Where one
// lane goes on failing while others of its endpoint or key succeed, only that lane waits.
//
// Takes O(log lanes) for each request. Lanes that hold nothing are forgotten.
class Schedule {
 public:
  struct Scope;
  struct Lane {
    std::string name;
    Scope* endpoint = nullptr;
    Scope* key = nullptr;
    bool in_flight = false;
    unsigned attempt = 0;    // of the chunk that is first
    std::size_t chunks = 0;  // of the request in flight
    std::size_t bytes = 0;   // of its payload
    MonotonicTime began{};   // when it did

    Failures failures{};                                                // in a row
    std::optional<MonotonicTime> failed;                                // the last one, where no success came after it
    std::size_t again = 0;                                              // so many chunks failed together
    std::size_t suspects = 0;                                           // one of so many chunks at the front is refused
    std::size_t most_chunks = std::numeric_limits<std::size_t>::max();  // more in a request were too large
    unsigned stuck = 0;                                                 // failures that the chunks may have caused
    MonotonicTime stuck_since{};
    Verdict waits_for = Verdict::kNetwork;
    std::optional<MonotonicTime> until;  // it waits
  };

  // `random` gives numbers from [0, 1).
  Schedule(Limits limits, std::function<double()> random);
  ~Schedule();

  // The lane `name` has chunks to send; `endpoint` and `key` are what it shares with others.
  void fill(std::string_view name, std::string_view endpoint, std::string_view key, MonotonicTime now);
  [[nodiscard]] bool knows(std::string_view name) const { return lanes_.find(name) != lanes_.end(); }

  // The lane whose turn it is, until begin() or forget() was called for it. Nothing when all wait, or as many requests
  // as may be, and `more`, are on their way.
  Lane* next(MonotonicTime now, std::size_t more = 0);

  // How much the next request of a lane may hold.
  [[nodiscard]] std::size_t most_chunks(const Lane& lane) const;
  [[nodiscard]] std::size_t most_bytes(const Lane& lane) const;

  // A request of the lane has begun.
  void begin(Lane& lane, std::size_t chunks, std::size_t bytes, MonotonicTime now);

  // The lane turned out to hold nothing. It is gone.
  void forget(Lane& lane);

  // Nothing more is to be sent for the lane, of which no request is in flight, as it is now. It is gone.
  void drop(Lane& lane);

  // The lane of that name, or nothing.
  Lane* find(std::string_view name);

  // The request of the lane has ended; it takes its turn again, or waits.
  Action settle(Lane& lane, const Outcome& outcome, MonotonicTime now);

  // The lane, of which no request is in flight, waits as after a failure of the server: its chunks could not be read,
  // or the dead letter not be written.
  void hold(Lane& lane, MonotonicTime now);

  // The lane takes its turn again, although nothing was sent.
  void again(Lane& lane) { ready_.push_back(&lane); }

  // What fill() was given for the lane.
  static std::string_view endpoint_of(const Lane& lane);
  static std::string_view key_of(const Lane& lane);

  // Ends all pauses; the first request after each is a probe still.
  void hurry(MonotonicTime now);

  // When the next pause ends.
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

  // Lanes with nothing on its way that a failure holds up, by its verdict: they wait, or it is their turn to try again.
  [[nodiscard]] std::array<std::size_t, 8> waiting() const;

  // Whether a project key was refused and has not been accepted since.
  [[nodiscard]] bool denied() const;

  // Raised whenever a pause begins or ends: something to keep.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

  [[nodiscard]] std::vector<Pause> pauses(MonotonicTime now) const;

  // Before the first fill(): what pauses() of an earlier run gave.
  void restore(const std::vector<Pause>& pauses, MonotonicTime now);

  // The sum of the waits that were decided on so far.
  [[nodiscard]] std::chrono::nanoseconds waited() const { return waited_; }

  // What began to wait in the last settle(), and how long.
  struct Event {
    enum class What : std::uint8_t { kNone, kLaneWaits, kKeyWaits, kEndpointWaits, kBreaker } what = What::kNone;
    Verdict failure = Verdict::kNetwork;
    std::chrono::nanoseconds wait{0};
  };
  [[nodiscard]] const Event& last_event() const { return event_; }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <typename T>
  using ByName = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  Scope* scope(std::string kind_and_name, MonotonicTime now);
  std::optional<Pause> take_restored(std::string_view kind_and_name, MonotonicTime now);
  void leave(Scope& scope);
  [[nodiscard]] static bool admits(const Scope& scope);
  void wake(Scope& scope);
  void unlist(Lane& lane);
  bool park(Lane& lane);
  void end_pause(Scope& scope, std::size_t allowed);
  void open_due(MonotonicTime now);
  void land(Lane& lane);
  void succeed(Lane& lane, MonotonicTime now);
  Action refuse(Lane& lane, const Outcome& outcome, MonotonicTime now);
  Action refuse_chunk(Lane& lane, MonotonicTime now);
  [[nodiscard]] bool trips(Scope& endpoint, MonotonicTime now) const;
  Action fail(Lane& lane, const Outcome& outcome, MonotonicTime now);
  [[nodiscard]] bool is_cause(Lane& lane, MonotonicTime now);
  void limit_key(const Lane& lane, std::chrono::nanoseconds chosen, MonotonicTime now);
  std::chrono::nanoseconds wait(const Outcome& outcome, Verdict failure, unsigned failures);
  void pause(Lane& lane, Verdict failure, MonotonicTime until);
  void pause(Scope& scope, Verdict failure, MonotonicTime until, MonotonicTime began);

  Limits limits_;
  std::function<double()> random_;
  ByName<Lane> lanes_;
  ByName<std::unique_ptr<Scope>> scopes_;
  std::deque<Lane*> ready_;
  std::set<std::pair<MonotonicTime, Lane*>> paused_lanes_;
  std::set<std::pair<MonotonicTime, Scope*>> paused_scopes_;
  std::unordered_map<std::uint64_t, std::pair<MonotonicTime, Pause>> restored_;  // and when they end
  std::size_t in_flight_ = 0;
  std::uint64_t changes_ = 0;
  std::chrono::nanoseconds waited_{0};
  Event event_;
};

}  // namespace fieldpipe::relay
