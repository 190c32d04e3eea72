// SPDX-License-Identifier: MIT
// URLs of brokers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::mqtt {

struct BrokerUrl {
  std::string host;  // name or address without brackets; the path of a unix socket when `port` is 0
  std::uint16_t port = 0;
  bool tls = false;
  std::string username;  // empty: none
  std::string topic;     // what follows the first / behind the host; empty: none

  bool operator==(const BrokerUrl&) const = default;
};

// Reads `mqtt://[user@]host[:port][/topic]` (port 1883), `mqtts://...` (TLS, port 8883) and `unix:PATH`,
// as `mosquitto_pub -L` does; nothing is percent-decoded.
//
//   mqtts://broker/flexconnect/bin   broker, 8883, TLS, topic flexconnect/bin
//   mqtt://me@[::1]:1884             ::1, 1884, user me
//   unix:/run/mosquitto.sock         that socket
//   mqtt://me:secret@broker          refused: arguments are visible to every user of the machine
//
// Fails with kUsage; the message of a refused password does not repeat it.
Result<BrokerUrl> parse_broker_url(std::string_view text);

}  // namespace fieldpipe::mqtt
