// SPDX-License-Identifier: MIT
// What uplink's two files say: the TOML that describes applications, streams and the connection, and the JSON that says
// which device this is (bytebeamio/uplink uplink/src/base/mod.rs, docs/configs/).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fieldpipe::uplink {

// PEM texts, not names of files.
struct Authentication {
  std::string ca_certificate;
  std::string device_certificate;
  std::string device_private_key;
};

struct Device {
  std::string project_id;
  std::string device_id;
  std::string broker;
  std::uint16_t port = 0;
  std::optional<Authentication> authentication;  // nothing: no TLS
};

// Reads a device file. Keys it does not know are added to `warnings`. Fails with kConfig; no message holds a key.
Result<Device> parse_device(std::string_view text, std::vector<std::string>& warnings);

// An action name and the application that takes it.
struct Route {
  std::string name;
  std::optional<std::chrono::seconds> timeout;
};

// [tcpapps.NAME]: one port, one client at a time.
struct App {
  std::string name;
  std::uint16_t port = 0;  // 0: only the unix socket
  std::string unix_path;   // our own key `unix`
  std::vector<Route> actions;
};

// [streams.NAME]
struct StreamSettings {
  std::string name;
  std::string topic;  // with {tenant_id} and {device_id} still in it; empty: by the name
  std::size_t batch_size = 100;
  std::chrono::seconds flush_period{60};
  bool lz4 = false;
  std::uint8_t priority = 0;
  bool durable = true;                                // not so only where max_file_count = 0 is written out
  std::size_t memory_bytes = std::size_t{10} << 20U;  // max_file_size: what a stream in memory may hold
};

struct Configuration {
  std::vector<App> apps;
  std::vector<StreamSettings> streams;  // the built-in ones among them
  std::string persistence_path;         // empty: not said
  std::size_t max_stream_count = 20;    // streams that the configuration does not name
  std::string actions_subscription = "/tenants/{tenant_id}/devices/{device_id}/actions";
  bool prioritize_live_data = false;

  // [mqtt]
  std::size_t max_packet_size = 256000;
  std::uint16_t max_inflight = 100;
  std::chrono::seconds keep_alive{30};

  // Keys that uplink does not have.
  std::vector<std::string> bind;  // addresses to listen on; empty: this machine's loopback, in IPv4 and IPv6
  std::optional<std::chrono::seconds> default_action_timeout;  // for routes without a timeout
  std::chrono::seconds action_queue_age{86400};                // for which an action waits for its application
  bool check_action_status = true;                             // a status of the wrong shape is refused
  std::optional<std::string> username;                         // these three in [mqtt]
  std::string password_file;
  bool clean_session = true;

  std::vector<std::string> warnings;  // keys that are unknown or mean something that is not done here
};

// Reads uplink's TOML. Numbers and booleans may stand in quotes, as uplink takes them; a number that does not fit is
// refused, where uplink would cut it. Fails with kConfig, and the line where there is one.
Result<Configuration> parse_configuration(std::string_view text);

// `pattern` with {tenant_id} and {device_id} replaced.
std::string expand_topic(std::string_view pattern, const Device& device);

// The topic of a stream: its own, or /tenants/P/devices/D/events/NAME/jsonarray and, compressed, /lz4 behind that.
std::string stream_topic(const StreamSettings& stream, const Device& device);

}  // namespace fieldpipe::uplink
