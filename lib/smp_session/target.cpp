// SPDX-License-Identifier: MIT
#include "smp_session/target.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::smp_session {
namespace {

using Kind = Target::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 5> kKinds{{{"serial:", Kind::kSerial},
                                                                   {"raw:", Kind::kRaw},
                                                                   {"udp:", Kind::kUdp},
                                                                   {"tcp:", Kind::kTcp},
                                                                   {"ble:", Kind::kBle}}};

constexpr std::string_view kForms = "serial:PATH[@BAUD], raw:PATH[@BAUD], udp:HOST[:PORT], tcp:HOST:PORT or ble:NAME";

// `HOST` alone, `ADDRESS` of IPv6 alone with or without brackets, or either with a port.
Result<io::Endpoint> parse_udp(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  const std::size_t colons = static_cast<std::size_t>(std::count(text.begin(), text.end(), ':'));
  if (!bracketed && colons > 1) return io::parse_endpoint(fmt::format("[{}]:{}", text, kUdpPort));
  if (bracketed ? text.ends_with(']') : colons == 0) return io::parse_endpoint(fmt::format("{}:{}", text, kUdpPort));
  return io::parse_endpoint(text);
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
  for (const auto& [prefix, kind] : kKinds) {
    if (!text.starts_with(prefix)) continue;
    const std::string_view rest = text.substr(prefix.size());
    Target target{.kind = kind, .serial = {}, .endpoint = {}, .peer = {}};
    if (rest.empty()) return fail(ErrorCode::kUsage, fmt::format("'{}' names no place", text), std::string(kForms));
    if (kind == Kind::kSerial || kind == Kind::kRaw) {
      auto serial = io::parse_serial_address(rest);
      if (!serial) return fail(std::move(serial));
      target.serial = *std::move(serial);
    } else if (kind == Kind::kBle) {
      target.peer = rest;
    } else {
      auto endpoint = kind == Kind::kUdp ? parse_udp(rest) : io::parse_endpoint(rest);
      if (!endpoint) {
        Error error = std::move(endpoint).error();
        error.hint = kForms;  // not a unix socket
        return tl::make_unexpected(std::move(error));
      }
      if (!endpoint->path.empty())
        return fail(ErrorCode::kUsage, "a unix socket is no place of a device", std::string(kForms));
      target.endpoint = *std::move(endpoint);
    }
    return target;
  }
  return fail(ErrorCode::kUsage, fmt::format("'{}' names no transport", printable(text)), std::string(kForms));
}

std::string print_target(const Target& target) {
  switch (target.kind) {
    case Kind::kSerial: return "serial:" + io::print_serial_address(target.serial);
    case Kind::kRaw: return "raw:" + io::print_serial_address(target.serial);
    case Kind::kUdp: return "udp:" + io::print_endpoint(target.endpoint);
    case Kind::kTcp: return "tcp:" + io::print_endpoint(target.endpoint);
    case Kind::kBle: break;
  }
  return "ble:" + target.peer;
}

}  // namespace fieldpipe::smp_session
