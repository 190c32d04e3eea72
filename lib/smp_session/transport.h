// SPDX-License-Identifier: MIT
// What carries packets: a stream (serial port, TCP), datagrams, Bluetooth LE. The session knows no more than this of
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/serial_port.h"
#include "smp/console.h"
#include "smp_session/target.h"

namespace fieldpipe::smp_session {

struct TransportSettings {
  io::ModemLines lines;  // of a serial port
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  std::size_t mtu_bytes = 1500;                        // of the link under UDP
  std::size_t line_bytes = smp::kConsoleLineBytes;     // of console frames
  std::optional<std::chrono::nanoseconds> line_delay;  // between them; nothing: only where a request is repeated
  std::function<void(std::string_view)> console;       // takes what is no frame; may be empty
  std::string adapter;                                 // of Bluetooth, as hci0; empty: the first that is on
  bool pair = false;                                   // before anything else, not only when the device asks
  bool forget = false;                                 // the bond and the services that BlueZ remembers
  std::string passkey_file;  // with the digits that the device shows, read when it asks; empty: Just Works
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Sends a packet, or begins to. `again` says that it is a repeat: the line may need to be cleared first. Fails with
  // kUnavailable where the link has gone.
  virtual Result<void> send(Bytes packet, bool again) = 0;

  // What to wait for before the next advance(), and until when at most.
  virtual void watch(io::Loop& loop) const = 0;
  [[nodiscard]] virtual std::optional<MonotonicTime> deadline() const { return std::nullopt; }

  // Goes on with what is being sent, and appends the packets that have come. Fails with kUnavailable where the link has
  // gone.
  virtual Result<void> advance(std::vector<std::string>& packets) = 0;

  // The largest packet to send to a device with buffers of this size, or of an unknown one.
  [[nodiscard]] virtual std::size_t packet_limit(std::optional<std::size_t> buffer_bytes) const = 0;

  // Why there may be no answer, for a hint; empty where nothing is known.
  [[nodiscard]] virtual std::string silence_hint() const = 0;
};

// Opens the way to a device, within settings.connect_timeout. Fails with kIo for a port that is not there, with
// kUnavailable where the way is not open now, with kUsage for a transport that is not built in.
Result<std::unique_ptr<Transport>> open_transport(const Target& target, const TransportSettings& settings,
                                                  io::Loop& loop);

}  // namespace fieldpipe::smp_session
