// SPDX-License-Identifier: MIT
#include "mqtt/reason.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace fieldpipe::mqtt {
namespace {

struct Reason {
  int code;
  std::string_view name;
  ErrorCode kind;
};

// The names are those of MQTT 5 table 2-6; what a caller can do about each decides its kind.
constexpr std::array kReasons{
    Reason{1, "unacceptable protocol version", ErrorCode::kRefused},
    Reason{2, "client identifier rejected", ErrorCode::kRefused},
    Reason{3, "server unavailable", ErrorCode::kUnavailable},
    Reason{4, "bad user name or password", ErrorCode::kDenied},
    Reason{5, "not authorized", ErrorCode::kDenied},
    Reason{0x80, "unspecified error", ErrorCode::kRefused},
    Reason{0x81, "malformed packet", ErrorCode::kRefused},
    Reason{0x82, "protocol error", ErrorCode::kRefused},
    Reason{0x83, "implementation specific error", ErrorCode::kRefused},
    Reason{0x84, "unsupported protocol version", ErrorCode::kRefused},
    Reason{0x85, "client identifier not valid", ErrorCode::kRefused},
    Reason{0x86, "bad user name or password", ErrorCode::kDenied},
    Reason{0x87, "not authorized", ErrorCode::kDenied},
    Reason{0x88, "server unavailable", ErrorCode::kUnavailable},
    Reason{0x89, "server busy", ErrorCode::kUnavailable},
    Reason{0x8A, "banned", ErrorCode::kRefused},
    Reason{0x8B, "server shutting down", ErrorCode::kUnavailable},
    Reason{0x8C, "bad authentication method", ErrorCode::kDenied},
    Reason{0x8D, "keep alive timeout", ErrorCode::kUnavailable},
    Reason{0x8E, "session taken over", ErrorCode::kUnavailable},
    Reason{0x8F, "topic filter invalid", ErrorCode::kRefused},
    Reason{0x90, "topic name invalid", ErrorCode::kRefused},
    Reason{0x91, "packet identifier in use", ErrorCode::kUnavailable},
    Reason{0x92, "packet identifier not found", ErrorCode::kUnavailable},
    Reason{0x93, "receive maximum exceeded", ErrorCode::kRefused},
    Reason{0x94, "topic alias invalid", ErrorCode::kRefused},
    Reason{0x95, "packet too large", ErrorCode::kRefused},
    Reason{0x96, "message rate too high", ErrorCode::kUnavailable},
    Reason{0x97, "quota exceeded", ErrorCode::kUnavailable},
    Reason{0x98, "administrative action", ErrorCode::kUnavailable},
    Reason{0x99, "payload format invalid", ErrorCode::kRefused},
    Reason{0x9A, "retain not supported", ErrorCode::kRefused},
    Reason{0x9B, "QoS not supported", ErrorCode::kRefused},
    Reason{0x9C, "use another server", ErrorCode::kRefused},
    Reason{0x9D, "server moved", ErrorCode::kRefused},
    Reason{0x9E, "shared subscriptions not supported", ErrorCode::kRefused},
    Reason{0x9F, "connection rate exceeded", ErrorCode::kUnavailable},
    Reason{0xA0, "maximum connect time", ErrorCode::kUnavailable},
    Reason{0xA1, "subscription identifiers not supported", ErrorCode::kRefused},
    Reason{0xA2, "wildcard subscriptions not supported", ErrorCode::kRefused},
};

}  // namespace

Error reason_error(int reason) {
  const auto* known = std::find_if(kReasons.begin(), kReasons.end(), [&](const Reason& r) { return r.code == reason; });
  if (known == kReasons.end()) return {ErrorCode::kRefused, fmt::format("reason 0x{:02x}", reason), {}, std::nullopt};
  return {known->kind, fmt::format("{} (0x{:02x})", known->name, reason), {}, std::nullopt};
}

}  // namespace fieldpipe::mqtt
