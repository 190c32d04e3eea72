// SPDX-License-Identifier: MIT
// What a device answers: a payload, or the failure that stands for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cbor/value.h"
#include "core/result.h"
#include "smp/message.h"
#include "smp/packet.h"

namespace fieldpipe::smp_device {

// Why a request is refused.
struct Failure {
  std::optional<smp::Group> group;  // whose code `rc` is; nothing: a general one
  std::int64_t rc = 0;
  std::string_view reason;  // what Zephyr says with a general code in version 1
  cbor::Value::Map beside;  // keys that come with it in version 2
};

// The encoded payload of a success.
using Answer = tl::expected<std::string, Failure>;

// A refusal with a general code, or with one of a group.
inline tl::unexpected<Failure> refuse(std::int64_t general) {
  return tl::make_unexpected(Failure{std::nullopt, general, {}, {}});
}
inline tl::unexpected<Failure> refuse(smp::Group group, std::int64_t rc, std::string_view reason = {}) {
  return tl::make_unexpected(Failure{group, rc, reason, {}});
}

// As Zephyr's encoder writes them: maps and lists without lengths.
template <smp::Message T>
Answer answer(const T& message) {
  std::string payload;
  smp::encode(payload, message, cbor::Lengths::kIndefinite);
  return payload;
}

// The payload of a failure in this version. Version 1 has general codes only and folds those of groups into them
// (zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/grp/*/src/*_mgmt.c, the translate_error_code functions).
std::string print_failure(const Failure& failure, smp::Version version);

}  // namespace fieldpipe::smp_device
