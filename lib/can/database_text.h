// SPDX-License-Identifier: MIT
// What is in a database, as text.
#pragma once

#include <string>

#include "can/dbc.h"

namespace fieldpipe::can {

// Appends a message as one NDJSON line:
//
//   {"message":"Engine","id":291,"extended":false,"length":8,"sender":"ECU","cycle_time_ms":10,"comment":"...","signals":[
//    {"signal":"Speed","start":0,"length":16,"byte_order":"intel","type":"unsigned","factor":0.1,"offset":0,
//     "minimum":0,"maximum":250,"unit":"km/h","multiplexor":"Mode","values":[[1,1],[3,5]],"choices":{"0":"off"},"comment":"..."}]}
//
// What the file does not give is left out. Lengths are bytes of messages and bits of signals; `values` are the ranges
// of the multiplexor with which the signal is there.
void append_message(std::string& out, const Message& message);

}  // namespace fieldpipe::can
