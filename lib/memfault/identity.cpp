// SPDX-License-Identifier: MIT
#include "memfault/identity.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::memfault {
namespace {

// Not isalnum: that one asks the locale.
constexpr bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

constexpr bool is_in_serial(char c) { return is_alphanumeric(c) || c == '_' || c == '-'; }

}  // namespace

Result<void> check_device(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::kBadData, "the device serial is empty");
  if (text.size() > kMaxDeviceBytes)
    return fail(ErrorCode::kBadData,
                fmt::format("device serial of {} characters, the limit is {}", text.size(), kMaxDeviceBytes));
  if (!std::ranges::all_of(text, is_in_serial))
    return fail(ErrorCode::kBadData,
                fmt::format("device serial '{}' has a character that is none of A-Z a-z 0-9 _ -", printable(text)));
  return {};
}

Result<void> check_project_key(std::string_view text) {
  if (text.size() != kProjectKeyBytes)
    return fail(ErrorCode::kBadData,
                fmt::format("project key of {} characters, a key has {}", text.size(), kProjectKeyBytes));
  if (!std::ranges::all_of(text, is_alphanumeric))
    return fail(ErrorCode::kBadData, "the project key has a character that is none of A-Z a-z 0-9");
  return {};
}

std::string without_project_keys(std::string_view text) {
  std::string masked(text);
  for (auto at = masked.begin(); at != masked.end();) {
    const auto begin = std::find_if(at, masked.end(), is_alphanumeric);
    at = std::find_if_not(begin, masked.end(), is_alphanumeric);
    if (at - begin == static_cast<std::ptrdiff_t>(kProjectKeyBytes)) std::fill(begin, at, '*');
  }
  return masked;
}

}  // namespace fieldpipe::memfault
