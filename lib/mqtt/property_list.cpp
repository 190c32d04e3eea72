// SPDX-License-Identifier: MIT
#include "mqtt/property_list.h"

#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "core/text.h"

namespace fieldpipe::mqtt {
namespace {

int command_of(Packet packet) {
  switch (packet) {
    case Packet::kConnect: return CMD_CONNECT;
    case Packet::kPublish: return CMD_PUBLISH;
    case Packet::kSubscribe: return CMD_SUBSCRIBE;
    case Packet::kUnsubscribe: return CMD_UNSUBSCRIBE;
    case Packet::kDisconnect: return CMD_DISCONNECT;
    case Packet::kWill: return CMD_WILL;
  }
  return 0;
}

template <typename T>
int add_number(mosquitto_property** list, int identifier, const std::string& text,
               int (*add)(mosquitto_property**, int, T)) {
  const auto value = parse_integer<T>(text);
  return value ? add(list, identifier, *value) : MOSQ_ERR_INVAL;
}

Result<void> append(mosquitto_property** list, Packet packet, const Property& property) {
  int identifier = 0;
  int type = 0;
  if (mosquitto_string_to_property_info(property.name.c_str(), &identifier, &type) != MOSQ_ERR_SUCCESS) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no MQTT property", printable(property.name)));
  }
  if (mosquitto_property_check_command(command_of(packet), identifier) != MOSQ_ERR_SUCCESS) {
    return fail(ErrorCode::kUsage, fmt::format("{} does not belong to this packet", property.name));
  }
  const int rc = [&] {
    switch (type) {
      case MQTT_PROP_TYPE_BYTE:
        return add_number<std::uint8_t>(list, identifier, property.value, mosquitto_property_add_byte);
      case MQTT_PROP_TYPE_INT16:
        return add_number<std::uint16_t>(list, identifier, property.value, mosquitto_property_add_int16);
      case MQTT_PROP_TYPE_INT32:
        return add_number<std::uint32_t>(list, identifier, property.value, mosquitto_property_add_int32);
      case MQTT_PROP_TYPE_VARINT:
        return add_number<std::uint32_t>(list, identifier, property.value, mosquitto_property_add_varint);
      case MQTT_PROP_TYPE_BINARY:
        if (property.value.size() > UINT16_MAX) return static_cast<int>(MOSQ_ERR_INVAL);
        return mosquitto_property_add_binary(list, identifier, property.value.data(),
                                             static_cast<std::uint16_t>(property.value.size()));
      case MQTT_PROP_TYPE_STRING: return mosquitto_property_add_string(list, identifier, property.value.c_str());
      case MQTT_PROP_TYPE_STRING_PAIR:
        return mosquitto_property_add_string_pair(list, identifier, property.key.c_str(), property.value.c_str());
      default: return static_cast<int>(MOSQ_ERR_INVAL);
    }
  }();
  if (rc == MOSQ_ERR_SUCCESS) return {};
  return fail(ErrorCode::kUsage, fmt::format("{}: '{}' is no value for it", property.name, printable(property.value)));
}

// A text that the library allocated.
std::string taken(char* text) {
  if (text == nullptr) return {};
  std::string copy(text);
  std::free(text);
  return copy;
}

Property read_property(const mosquitto_property* at) {
  const int identifier = mosquitto_property_identifier(at);
  const char* name = mosquitto_property_identifier_to_string(identifier);
  if (name == nullptr) return {};
  Property property{name, {}, {}};
  int ignored = 0;
  int type = 0;
  mosquitto_string_to_property_info(name, &ignored, &type);
  switch (type) {
    case MQTT_PROP_TYPE_BYTE: {
      std::uint8_t value = 0;
      mosquitto_property_read_byte(at, identifier, &value, false);
      property.value = fmt::format("{}", value);
      break;
    }
    case MQTT_PROP_TYPE_INT16: {
      std::uint16_t value = 0;
      mosquitto_property_read_int16(at, identifier, &value, false);
      property.value = fmt::format("{}", value);
      break;
    }
    case MQTT_PROP_TYPE_INT32: {
      std::uint32_t value = 0;
      mosquitto_property_read_int32(at, identifier, &value, false);
      property.value = fmt::format("{}", value);
      break;
    }
    case MQTT_PROP_TYPE_VARINT: {
      std::uint32_t value = 0;
      mosquitto_property_read_varint(at, identifier, &value, false);
      property.value = fmt::format("{}", value);
      break;
    }
    case MQTT_PROP_TYPE_BINARY: {
      void* value = nullptr;
      std::uint16_t size = 0;
      mosquitto_property_read_binary(at, identifier, &value, &size, false);
      if (value != nullptr) property.value.assign(static_cast<const char*>(value), size);
      std::free(value);
      break;
    }
    case MQTT_PROP_TYPE_STRING: {
      char* value = nullptr;
      mosquitto_property_read_string(at, identifier, &value, false);
      property.value = taken(value);
      break;
    }
    case MQTT_PROP_TYPE_STRING_PAIR: {
      char* key = nullptr;
      char* value = nullptr;
      mosquitto_property_read_string_pair(at, identifier, &key, &value, false);
      property.key = taken(key);
      property.value = taken(value);
      break;
    }
    default: break;
  }
  return property;
}

}  // namespace

void FreeProperties::operator()(mqtt5__property* list) const { mosquitto_property_free_all(&list); }

Result<PropertyList> property_list(Packet packet, const Properties& properties) {
  mosquitto_property* list = nullptr;
  for (const Property& property : properties) {
    auto added = append(&list, packet, property);
    if (!added) {
      mosquitto_property_free_all(&list);
      return fail(std::move(added));
    }
  }
  return PropertyList(list);
}

Result<void> check_property(Packet packet, const Property& property) {
  auto list = property_list(packet, {property});
  if (!list) return fail(std::move(list));
  return {};
}

Properties read_properties(const mqtt5__property* list) {
  Properties properties;
  for (; list != nullptr; list = mosquitto_property_next(list)) properties.push_back(read_property(list));
  return properties;
}

}  // namespace fieldpipe::mqtt
