// SPDX-License-Identifier: MIT
// The options that say which broker, as whom and how: the same in all tools that speak MQTT.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/option_table.h"
#include "core/result.h"
#include "mqtt/message.h"

namespace fieldpipe::mqtt {

struct ConnectionOptions {
  std::string host = "localhost";
  std::uint16_t port = 0;  // 0: by what else is said
  std::string unix_path;
  std::string url;        // --url; with a topic
  std::string broker;     // --broker; without
  std::string url_topic;  // the topic in --url
  std::string id;
  std::string id_prefix;
  std::string username;
  std::string password_file;
  Tls tls;
  bool system_authorities = false;
  std::uint16_t keepalive_s = 60;
  bool keep_session = false;
  std::optional<std::uint32_t> session_expiry_s;
  Version version = Version::kAuto;
  std::string bind_address;
  Will will;
  bool no_delay = true;  // always so; the flag is accepted
  bool debug = false;
  Properties connect_properties;
  Properties publish_properties;
  Properties subscribe_properties;
  Properties unsubscribe_properties;
  Properties disconnect_properties;
};

// The letters a tool offers for these options.
enum class Letters : std::uint8_t {
  kSource,     // only --broker and what belongs to it, for a tool that can also read from elsewhere (`source` is one
               // setting), that keeps its session, and that declares the options of TLS for all its connections itself
  kMosquitto,  // everything, with the letters and defaults of mosquitto_pub and mosquitto_sub
};

// Declares a section "Broker" and, with kMosquitto, one "TLS".
void declare(cli::OptionTable& table, ConnectionOptions& options, Letters letters);

// What the options add up to. Reads the password. Fails with kUsage, or as cli::read_secret does.
Result<Connection> connection(const ConnectionOptions& options);

}  // namespace fieldpipe::mqtt
