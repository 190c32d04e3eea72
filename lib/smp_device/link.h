// SPDX-License-Identifier: MIT
// Where a simulated device can be reached: UDP, TCP, or a pseudo terminal that takes the place of a serial port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/socket.h"
#include "smp_device/line.h"

namespace fieldpipe::smp_device {

// A place to be reached at.
struct Place {
  enum class Kind : std::uint8_t {
    kUdp,
    kTcp,     // console frames
    kSerial,  // console frames
    kRaw,     // bare packets
  };

  Kind kind = Kind::kUdp;
  io::Endpoint endpoint;  // kUdp, kTcp; the system chooses a port that is 0
  std::string path;       // kSerial, kRaw: a symbolic link to the port, which may change; empty: none
};

// Reads `udp`, `tcp`, `udp:HOST:PORT`, `tcp:HOST:PORT`, `serial`, `raw`, `serial:PATH` or `raw:PATH`. Fails with
// kUsage.
Result<Place> parse_place(std::string_view text);

class Link {
 public:
  virtual ~Link() = default;

  // What smp-query takes for --connect.
  [[nodiscard]] virtual std::string connect_string() const = 0;

  // What to wait for before the next receive(), and until when at most.
  virtual void watch(io::Loop& loop) const = 0;
  [[nodiscard]] virtual std::optional<MonotonicTime> deadline() const { return std::nullopt; }

  // Appends the requests that have come, and goes on with what is being sent. Fails with kIo or kUnavailable where the
  // link is broken for good.
  virtual Result<void> receive(MonotonicTime now, std::vector<Parcel>& requests) = 0;

  // Whether a checksum finds damaged packets, and what a packet is on the wire.
  [[nodiscard]] virtual bool is_checked() const = 0;
  virtual void frame(std::string& packet) const = 0;

  // Sends what frame() made. What the link does not take is lost.
  virtual void send(const Parcel& framed) = 0;

  // Text of the device's console, where it shares the link.
  virtual void print(std::string_view) {}

  // The largest request, for buffers of this size; a device does not see a larger one.
  [[nodiscard]] virtual std::size_t packet_limit(std::size_t buffer_bytes) const = 0;

  // A cable is pulled and put back: who is connected notices where one does in life.
  virtual void pull() {}
  virtual Result<void> plug() { return {}; }
};

// What Zephyr has for a line of its console, with its end (CONFIG_UART_MCUMGR_RX_BUF_SIZE).
inline constexpr std::size_t kLineBytes = 128;

// A console takes lines of at most `line_bytes`. Fails with kUnavailable, kConfig or kIo where the place cannot be
// taken.
Result<std::unique_ptr<Link>> open_link(const Place& place, std::size_t line_bytes);

}  // namespace fieldpipe::smp_device
