// SPDX-License-Identifier: MIT
// Properties as values and as the library's lists.
#pragma once

#include <memory>

#include "core/result.h"
#include "mqtt/message.h"

struct mqtt5__property;  // libmosquitto's mosquitto_property

namespace fieldpipe::mqtt {

// Packets that carry properties which users give.
enum class Packet : std::uint8_t { kConnect, kPublish, kSubscribe, kUnsubscribe, kDisconnect, kWill };

struct FreeProperties {
  void operator()(mqtt5__property* list) const;
};
using PropertyList = std::unique_ptr<mqtt5__property, FreeProperties>;

// Fails with kUsage: a name that is none, a property that does not belong to the packet, a value that
// is not of its type.
Result<PropertyList> property_list(Packet packet, const Properties& properties);

// The same check without a list to keep.
Result<void> check_property(Packet packet, const Property& property);

// All of a received list.
Properties read_properties(const mqtt5__property* list);

}  // namespace fieldpipe::mqtt
