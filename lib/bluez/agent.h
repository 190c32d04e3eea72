// SPDX-License-Identifier: MIT
// The pairing agent BlueZ asks for passkeys (bluez `doc/agent-api.txt`).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "bluez/bus.h"

namespace fieldpipe::bluez {

// Gives the six digits (0 to 999999) that the device shows. Fails with kDenied when there are none.
using Passkey = std::function<Result<std::uint32_t>()>;

// Answers for this program while it exists: with a passkey as a keyboard, otherwise as something without one (Just
// Works).
class Agent {
 public:
  // `bus` must outlive the agent. Fails as Bus::call does.
  static Result<std::unique_ptr<Agent>> enter(io::Loop& loop, Bus& bus, Passkey passkey, MonotonicTime deadline);

  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  // What the passkey function failed with, if it did.
  [[nodiscard]] const Result<void>& asked() const { return asked_; }

 private:
  Agent(Bus& bus, Passkey passkey) : bus_(bus), passkey_(std::move(passkey)) {}

  struct Methods;
  Bus& bus_;
  Passkey passkey_;
  Slot slot_;
  Result<void> asked_;
};

}  // namespace fieldpipe::bluez
