// SPDX-License-Identifier: MIT
#include "relay/keys.h"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "memfault/identity.h"

namespace fieldpipe::relay {

Result<Keys> Keys::parse(std::string_view key, std::string_view map) {
  Keys keys;
  if (!key.empty()) {
    if (auto checked = memfault::check_project_key(key); !checked) {
      return fail(ErrorCode::kDenied, std::move(checked).error().what);
    }
    keys.key_ = key;
  }
  for (std::uint64_t number = 1; !map.empty(); ++number) {
    const std::string_view whole = map.substr(0, map.find('\n'));
    map.remove_prefix(std::min(map.size(), whole.size() + 1));
    const std::string_view line = trimmed(whole.substr(0, whole.find('#')));
    if (line.empty()) continue;
    const std::string_view device = line.substr(0, line.find_first_of(" \t"));
    const std::string_view its_key = trimmed(line.substr(device.size()));
    const auto refuse = [&](std::string_view why) {
      return fail(ErrorCode::kConfig, fmt::format("--key-map: line {}: {}", number, why));
    };
    if (auto checked = memfault::check_device(device); !checked) return refuse(checked.error().what);
    if (auto checked = memfault::check_project_key(its_key); !checked) return refuse(checked.error().what);
    if (!keys.by_device_.try_emplace(std::string(device), its_key).second) {
      return refuse(fmt::format("{} has a key already", device));
    }
  }
  return keys;
}

const std::string& Keys::find(std::string_view device) const {
  const auto found = by_device_.find(device);
  return found == by_device_.end() ? key_ : found->second;
}

}  // namespace fieldpipe::relay
