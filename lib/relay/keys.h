// SPDX-License-Identifier: MIT
// The project keys that are configured: one for all devices, or one for each.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/result.h"

namespace fieldpipe::relay {

class Keys {
 public:
  // `key`: of the devices that `map` does not name, or empty. `map`: lines of a serial, white space and its key; `#`
  // begins a comment. Fails with kDenied for a `key` that is none, and with kConfig for a map with what is no serial or
  // no key, or a serial twice; no message shows a key.
  static Result<Keys> parse(std::string_view key, std::string_view map);

  // The key of the device; empty where none is configured.
  [[nodiscard]] const std::string& find(std::string_view device) const;

  // None is configured for any device.
  [[nodiscard]] bool empty() const { return key_.empty() && by_device_.empty(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::string key_;
  std::unordered_map<std::string, std::string, Hash, std::equal_to<>> by_device_;
};

}  // namespace fieldpipe::relay
