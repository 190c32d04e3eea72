// SPDX-License-Identifier: MIT
// Events, logs and recordings as JSON: their numbered fields by name.
#pragma once

#include <string>

#include "cbor/value.h"

namespace fieldpipe::memfault {

// Appends `[{...},...]`: one event or a list of them, as a payload holds them. Fields and values that are not known
// come out under their number and as they are.
void append_events(std::string& out, const cbor::Value& payload);

}  // namespace fieldpipe::memfault
