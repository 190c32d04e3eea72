// SPDX-License-Identifier: MIT
// Bluetooth LE devices through BlueZ: which there are, and packets to and from a characteristic of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bluez/agent.h"
#include "bluez/bus.h"
#include "bluez/objects.h"
#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"
#include "io/loop.h"

namespace fieldpipe::bluez {

// A device as BlueZ has seen it.
struct Peripheral {
  std::string address;  // AA:BB:CC:DD:EE:FF
  std::string name;     // empty: it has told none
  std::optional<int> rssi;
  std::vector<std::string> services;  // UUIDs that it advertises or is known to have
  bool paired = false;
};

// Whether `text` is a Bluetooth address, as AA:BB:CC:DD:EE:FF in either case.
bool is_address(std::string_view text);

// Looks for devices with the adapter (`hci0`; empty: the first that is on) until `until` or a stop signal, and shows
// each once. Fails with kUnavailable where there is no adapter that is on, and as Bus::call does.
Result<void> scan(io::Loop& loop, const std::string& adapter, MonotonicTime until,
                  const std::function<void(const Peripheral&)>& visit);

struct LinkOptions {
  std::string peripheral;      // an address, or the name
  std::string adapter;         // hci0; empty: the first that is on
  std::string service;         // UUID, in lower case
  std::string characteristic;  // UUID of one that takes writes without response and notifies
  bool pair = false;           // before anything else; otherwise only where the device asks for it
  Passkey passkey;             // without it: Just Works
  bool forget = false;         // drop what BlueZ keeps about the device first: its bond and its services
};

// A connection to a device, for packets in pieces of at most ATT MTU - 3 bytes each way. Looking for the device,
// connecting and pairing take as long as the deadline allows: BlueZ itself gives up on an attempt to connect after
// about 25 s.
//
// Uses AcquireWrite and AcquireNotify, which give sockets, and WriteValue and StartNotify where another program has
// those or the characteristic does not offer them (bluez `doc/gatt-api.txt`).
class Link {
 public:
  // Fails with kUnavailable when the device does not appear, does not connect or has no such characteristic, with
  // kDenied when it wants a bond that it does not get.
  static Result<Link> connect(io::Loop& loop, LinkOptions options, MonotonicTime deadline);

  Link(Link&&) noexcept;
  Link& operator=(Link&&) noexcept;
  ~Link();  // disconnects what connect() connected

  // The most bytes one write or notification carries.
  [[nodiscard]] std::size_t payload_bytes() const;

  // Queues a packet, to be sent in pieces of payload_bytes() each; handle() goes on with it.
  void send(Bytes packet);

  void watch(io::Loop& loop) const;

  // When handle() wants to be called although nothing is ready.
  [[nodiscard]] MonotonicTime deadline() const;

  // Sends what the radio takes now, and takes what has come. Fails with kUnavailable when the device is gone.
  Result<void> handle();

  // Notifications in the order of their arrival. The owner clears them.
  [[nodiscard]] std::vector<std::string>& received() const;

 private:
  struct State;
  explicit Link(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace fieldpipe::bluez
