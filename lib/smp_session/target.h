// SPDX-License-Identifier: MIT
// Where a device is, as one string: the value of --connect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "io/serial_port.h"
#include "io/socket.h"

namespace fieldpipe::smp_session {

// The port of SMP over UDP (zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/transport/Kconfig.udp).
inline constexpr std::uint16_t kUdpPort = 1337;

struct Target {
  enum class Kind : std::uint8_t {
    kSerial,  // console framing, between log text
    kRaw,     // bare packets on a serial port
    kUdp,
    kTcp,  // console framing over a socket
    kBle,
  };

  Kind kind = Kind::kUdp;
  io::SerialAddress serial;  // kSerial, kRaw
  io::Endpoint endpoint;     // kUdp, kTcp
  std::string peer;          // kBle: address or name
};

// Reads `serial:PATH[@BAUD]`, `raw:PATH[@BAUD]`, `udp:HOST[:PORT]`, `tcp:HOST:PORT` or `ble:ADDRESS|NAME`. Fails with
// kUsage.
Result<Target> parse_target(std::string_view text);

// `target` as parse_target reads it.
std::string print_target(const Target& target);

}  // namespace fieldpipe::smp_session
