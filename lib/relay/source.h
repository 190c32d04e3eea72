// SPDX-License-Identifier: MIT
// Where a relay's records come from.
#pragma once

#include <optional>
#include <string>

#include "core/clock.h"
#include "core/metrics.h"
#include "core/result.h"
#include "io/loop.h"
#include "relay/door.h"

namespace fieldpipe::relay {

// A turn of the owner's loop is
//
//   if (door.open()) source.watch(loop);
//   loop.wait(min(source.deadline(), ...));
//   if (door.open()) source.turn(loop, door);
//   door.commit();                       // when it is due, or turn() found nothing more
//   source.acknowledge();                // once nothing of what it handed in is unanswered
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // Registers what it waits for.
  virtual void watch(io::Loop& loop) const = 0;

  // When turn() wants to be called although nothing is ready.
  [[nodiscard]] virtual std::optional<MonotonicTime> deadline() const = 0;

  // Hands in what is there without waiting, for as long as the door is open. Gives whether it may have more at once: if
  // not, this is the time to commit. Fails when nothing more can come; what was handed in before stays good.
  virtual Result<bool> turn(const io::Loop& loop, Door& door) = 0;

  // All that was handed in is accepted or refused for good: the sender may be told.
  virtual void acknowledge() = 0;

  // The input has ended, and all of it was handed in.
  [[nodiscard]] virtual bool ended() const = 0;

  // What waits for its time, as for a broker that has refused, is tried now.
  virtual void hurry() {}

  // A stop signal has come: nothing more is taken but what is on its way already. Until ended() the turns go on.
  virtual void stop() = 0;

  // Leaves the sender so that nothing comes twice and nothing is missed, as far as that can be. `complete`: all that
  // was handed in was acknowledged. Nothing is called afterwards.
  virtual Result<void> leave(io::Loop& loop, bool complete) = 0;

  // For a line of status: `connected`, `waiting for the broker`; empty where there is nothing to say.
  [[nodiscard]] virtual std::string state() const = 0;

  // Adds what only this source knows.
  virtual void add_metrics(Metrics& metrics) const = 0;
};

}  // namespace fieldpipe::relay
