// SPDX-License-Identifier: MIT
#include "mqtt/envelope.h"

#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::mqtt {

Properties publish_properties(const record::Properties& from) {
  Properties to;
  const auto add = [&to](const char* name, std::string value) { to.push_back({name, {}, std::move(value)}); };
  if (from.payload_format_indicator) add("payload-format-indicator", fmt::format("{}", *from.payload_format_indicator));
  if (from.message_expiry_interval) add("message-expiry-interval", fmt::format("{}", *from.message_expiry_interval));
  if (from.content_type) add("content-type", *from.content_type);
  if (from.response_topic) add("response-topic", *from.response_topic);
  if (from.correlation_data) add("correlation-data", *from.correlation_data);
  for (const auto& [key, value] : from.user_properties) to.push_back({"user-property", key, value});
  return to;
}

record::Envelope envelope(Received&& message, WallTime at) {
  record::Envelope to;
  to.topic = std::move(message.topic);
  to.payload = std::move(message.payload);
  to.qos = static_cast<std::uint8_t>(message.qos);
  to.retain = message.retain;
  to.time = at;
  for (Property& property : message.properties) {
    if (property.name == "payload-format-indicator")
      to.properties.payload_format_indicator = parse_integer<std::uint8_t>(property.value);
    if (property.name == "message-expiry-interval")
      to.properties.message_expiry_interval = parse_integer<std::uint32_t>(property.value);
    if (property.name == "content-type") to.properties.content_type = std::move(property.value);
    if (property.name == "response-topic") to.properties.response_topic = std::move(property.value);
    if (property.name == "correlation-data") to.properties.correlation_data = std::move(property.value);
    if (property.name == "subscription-identifier") {
      if (const auto id = parse_integer<std::uint32_t>(property.value))
        to.properties.subscription_identifiers.push_back(*id);
    }
    if (property.name == "user-property")
      to.properties.user_properties.emplace_back(std::move(property.key), std::move(property.value));
  }
  return to;
}

}  // namespace fieldpipe::mqtt
