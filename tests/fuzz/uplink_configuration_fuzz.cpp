// SPDX-License-Identifier: MIT
// Any text is a configuration, or a device, or an error of configuration; names of actions and ports are unique.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "uplink/configuration.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fieldpipe::as_text(std::as_bytes(std::span(data, size)));
  std::vector<std::string> warnings;
  if (const auto device = fieldpipe::uplink::parse_device(text, warnings)) {
    if (device->port == 0 || device->broker.empty()) std::abort();
    return 0;
  }
  const auto configuration = fieldpipe::uplink::parse_configuration(text);
  if (!configuration) {
    if (configuration.error().code != fieldpipe::ErrorCode::kConfig || configuration.error().what.empty()) std::abort();
    return 0;
  }
  std::set<std::string> actions;
  for (const auto& app : configuration->apps) {
    if (app.port == 0 && app.unix_path.empty()) std::abort();
    for (const auto& route : app.actions) {
      if (!actions.insert(route.name).second) std::abort();
    }
  }
  for (const auto& stream : configuration->streams) {
    if (stream.batch_size == 0) std::abort();
  }
  return 0;
}
