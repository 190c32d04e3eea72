// SPDX-License-Identifier: MIT
#include "mqtt/broker_url.h"

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::mqtt {
namespace {

constexpr std::string_view kForms = "mqtt://[user@]host[:port][/topic], mqtts://..., unix:PATH";

// `url` for a message, without what may be a password in it.
std::string shown(std::string_view url) {
  const std::size_t at = url.rfind('@');
  return at == std::string_view::npos ? printable(url) : "..." + printable(url.substr(at));
}

// Cuts `prefix` off the front of `text` if it is there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

Result<BrokerUrl> parse_broker_url(std::string_view text) {
  const std::string_view whole = text;
  BrokerUrl url;
  if (take(text, "unix:")) {
    if (text.starts_with("///")) text.remove_prefix(2);
    if (text.empty()) return fail(ErrorCode::kUsage, fmt::format("'{}' has no path", shown(whole)));
    url.host = text;
    return url;
  }
  if (take(text, "mqtts://")) {
    url.tls = true;
    url.port = 8883;
  } else if (take(text, "mqtt://")) {
    url.port = 1883;
  } else {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no broker URL", shown(whole)), std::string(kForms));
  }
  const auto password_refused = [] {
    return fail(ErrorCode::kUsage, "a password in the URL would be visible to every user of this machine",
                "--password-file");
  };
  std::string_view authority = text.substr(0, text.find('/'));
  if (authority.size() < text.size()) url.topic = text.substr(authority.size() + 1);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    if (user.find(':') != std::string_view::npos) return password_refused();
    url.username = user;
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return fail(ErrorCode::kUsage, fmt::format("'{}' lacks a ]", shown(whole)));
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    url.host = authority.substr(0, authority.find(':'));
    port = authority.substr(url.host.size());
  }
  if (url.host.empty())
    return fail(ErrorCode::kUsage, fmt::format("'{}' has no host", shown(whole)), std::string(kForms));
  if (!port.empty()) {
    const auto number = port.starts_with(':') ? parse_integer<std::uint16_t>(port.substr(1)) : std::nullopt;
    if (!number || *number == 0) {
      // A password may hold a slash, and its first part then stands where the port does.
      if (url.topic.find('@') != std::string::npos) return password_refused();
      return fail(ErrorCode::kUsage, fmt::format("'{}' is no port, which is :1 to :65535", printable(port)));
    }
    url.port = *number;
  }
  return url;
}

}  // namespace fieldpipe::mqtt
