// SPDX-License-Identifier: MIT
// What the codes in a broker's answers mean.
#pragma once

#include "core/result.h"

namespace fieldpipe::mqtt {

// Reason codes from here on are failures (MQTT 5 section 2.4).
inline constexpr int kFirstFailure = 0x80;

// The Error behind a reason code of MQTT 5 or, from an older CONNACK, a return code (1 to 5). `what`
// names it: "not authorized (0x87)".
Error reason_error(int reason);

}  // namespace fieldpipe::mqtt
