// SPDX-License-Identifier: MIT
// The system's D-Bus, driven from io::Loop. The folder is the only one that knows sd-bus.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"

struct sd_bus;
struct sd_bus_message;
struct sd_bus_slot;

namespace fieldpipe::bluez {

struct MessageDeleter {
  void operator()(sd_bus_message* message) const;
};
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

struct SlotDeleter {
  void operator()(sd_bus_slot* slot) const;
};
using Slot = std::unique_ptr<sd_bus_slot, SlotDeleter>;

// A call that was sent and whose answer the bus fills in. Does not move; without it the answer is dropped.
struct Call {
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Slot slot;
  std::optional<Result<Message>> answer;
};

// A connection to the system bus. Its address is that of sd_bus_open_system(3), DBUS_SYSTEM_BUS_ADDRESS included.
class Bus {
 public:
  // Fails with kUnavailable.
  static Result<Bus> open();

  void watch(io::Loop& loop) const;

  // When process() wants to be called although nothing is ready.
  [[nodiscard]] MonotonicTime deadline() const;

  // Handles all that has come. Fails with kUnavailable when the bus has closed the connection.
  Result<void> process();

  // A call of a method of BlueZ (bluez `doc/*-api.txt`), to be filled in and given to call().
  [[nodiscard]] Result<Message> request(const std::string& object, const char* interface, const char* method) const;

  // Sends a request; process() brings its answer to `call`. Fails with kUnavailable.
  Result<void> start(const Message& request, Call& call);

  // Sends a request and waits for its answer, while signals go on being handled. Fails with kDenied and kUnavailable as
  // BlueZ's error has it (error_name()), and with kUnavailable when `deadline` passes or a stop signal comes first.
  Result<Message> call(io::Loop& loop, const Message& request, MonotonicTime deadline);

  // Sends a request whose answer does not matter.
  void tell(const Message& request);

  // One turn of the loop: waits until something came, or `deadline`. Fails with kUnavailable as call() does.
  Result<void> turn(io::Loop& loop, MonotonicTime deadline, const char* what);

  [[nodiscard]] sd_bus* get() const { return bus_.get(); }

 private:
  struct Closer {
    void operator()(sd_bus* bus) const;
  };
  explicit Bus(sd_bus* bus) : bus_(bus) {}

  std::unique_ptr<sd_bus, Closer> bus_;
};

// The name of the D-Bus error in a failure of Bus::call, as org.bluez.Error.Failed; empty when it was none. It is the
// part of Error::what before the first colon.
std::string_view error_name(const Error& error);

// A failure of the D-Bus library itself.
Error bus_error(const char* action, int negative_errno);

}  // namespace fieldpipe::bluez
