// SPDX-License-Identifier: MIT
// Asks the release service whether a device has an update.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/client.h"
#include "io/loop.h"
#include "memfault/release.h"

namespace fieldpipe::ota {

// The answer to a question that was answered.
struct Latest {
  std::optional<memfault::Release> release;  // nothing: the device has what it should have
  std::string reason;                        // why there is none, where the service says it (Memfault-Reason)
};

// Asks `api` for the newest release of `device`, and for the URL of its artifact where the release does not have it. No
// answer and no refusal is ever taken for "no update". Fails as memfault::release_error says, and with kUnavailable
// where no answer came.
Result<Latest> look_up(io::Loop& loop, http::Client& client, std::string_view api, const memfault::DeviceInfo& device,
                       std::string_view project_key);

// Sends one request and waits for its end. Fails with kUnavailable after a stop signal.
Result<http::Answer> send(io::Loop& loop, http::Client& client, const http::Request& request);

// Why there is no answer, as an Error: kUnavailable.
Error no_answer(const http::Answer& answer);

}  // namespace fieldpipe::ota
