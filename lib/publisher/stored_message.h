// SPDX-License-Identifier: MIT
// A message as the payload of a spool's record, with all that an MQTT PUBLISH says of it. Pure.
//
// All integers are little-endian: version:1 (1)  flags:1 (QoS in bits 0 and 1, retain in bit 2)  number of
// properties:2  topic  properties...  and the payload as the rest. A property is three texts: name, key and value. A
// text has its length:4 in front.
#pragma once

#include <optional>
#include <string>

#include "core/bytes.h"
#include "mqtt/message.h"

namespace fieldpipe::publisher {

struct StoredMessage {
  std::string topic;
  int qos = 0;
  bool retain = false;
  mqtt::Properties properties;
  Bytes payload;  // points into what was decoded
};

// Appends `message`, which has at most 65535 properties: more than fit into any packet of MQTT.
void append_stored_message(std::string& out, const mqtt::Outgoing& message);

// Nothing for bytes that are not one, or of another version.
std::optional<StoredMessage> decode_stored_message(Bytes bytes);

}  // namespace fieldpipe::publisher
