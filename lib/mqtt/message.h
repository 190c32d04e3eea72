// SPDX-License-Identifier: MIT
// What MQTT carries, as values: properties, messages received, and the CONNECT packet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "io/tls_files.h"

namespace fieldpipe::mqtt {

// One MQTT 5 property under the name that the specification (section 2.2.2.2) and mosquitto's clients
// use: {"content-type", "", "text/plain"}, {"user-property", "key", "value"}. Numbers are decimal texts.
struct Property {
  std::string name;
  std::string key;  // of a user-property; empty for all others
  std::string value;

  bool operator==(const Property&) const = default;
};
using Properties = std::vector<Property>;

// What a PUBLISH to the broker says. A view: the caller keeps all of it until publish() returns.
struct Outgoing {
  const std::string& topic;
  Bytes payload;
  int qos = 0;
  bool retain = false;
  const Properties* properties = nullptr;  // nullptr: none. Dropped on a connection older than MQTT 5
};

// What a PUBLISH from the broker said.
struct Received {
  std::string topic;
  std::string payload;
  int qos = 0;
  bool retain = false;
  int packet_id = 0;  // 0 at QoS 0
  Properties properties;
};

struct Will {
  std::string topic;
  std::string payload;
  int qos = 0;
  bool retain = false;
  Properties properties;
};

struct Tls {
  io::TlsFiles files;
  std::string alpn;
  std::string version;    // tlsv1.2 or tlsv1.3: the lowest; empty: the library's default
  bool insecure = false;  // do not check that the certificate is for this host
};

enum class Version : std::uint8_t {
  kAuto,  // MQTT 5, and 3.1.1 where the broker does not know it
  k31,
  k311,
  k5,
};

// Where the broker is and what CONNECT tells it.
struct Connection {
  std::string host = "localhost";  // name or address; the path of a unix socket when `port` is 0
  std::uint16_t port = 1883;
  std::string bind_address;  // local address to connect from; empty: any
  std::optional<Tls> tls;
  Version version = Version::kAuto;
  std::string client_id;                          // empty: one is made up, and there is no session to come back to
  bool clean = true;                              // start without the session the broker may have kept
  std::optional<std::uint32_t> session_expiry_s;  // MQTT 5: how long the broker keeps the session
  std::uint16_t keepalive_s = 60;
  std::optional<std::string> username;
  std::optional<std::string> password;
  std::optional<Will> will;
  Properties connect_properties;
  Properties disconnect_properties;
  bool patient = false;  // the first connection, too, is tried again and again: nobody waits for its outcome
  std::uint16_t send_maximum = 100;     // publishes without acknowledgement
  std::uint16_t receive_maximum = 500;  // deliveries without acknowledgement; MQTT 5 tells the broker
};

}  // namespace fieldpipe::mqtt
