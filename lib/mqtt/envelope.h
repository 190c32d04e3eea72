// SPDX-License-Identifier: MIT
// Between the envelope record and what MQTT carries.
#pragma once

#include "mqtt/message.h"
#include "record/envelope.h"

namespace fieldpipe::mqtt {

// The properties of an envelope for a PUBLISH. Subscription identifiers are left out: only a broker
// may send them (MQTT 5 section 3.3.4).
Properties publish_properties(const record::Properties& from);

// What was received, as an envelope with the time `at`. Takes the texts out of `message`.
record::Envelope envelope(Received&& message, WallTime at);

}  // namespace fieldpipe::mqtt
