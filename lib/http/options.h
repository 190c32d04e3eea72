// SPDX-License-Identifier: MIT
// The options of tools that send HTTP requests: whom to trust and how long to wait.
#pragma once

#include "cli/option_table.h"
#include "http/client.h"

namespace fieldpipe::http {

// Declares a section "HTTP" that sets `options`. How many connections there are is the tool's own matter.
void declare(cli::OptionTable& table, ClientOptions& options);

}  // namespace fieldpipe::http
