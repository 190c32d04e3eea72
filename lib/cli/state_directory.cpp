// SPDX-License-Identifier: MIT
#include "cli/state_directory.h"

#include <cstdlib>

#include <fmt/format.h>

namespace fieldpipe::cli {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

Result<std::string> state_directory(std::string_view tool, std::string_view what, std::string_view option) {
  // systemd.exec(5): several are separated by colons.
  const std::string_view managed = variable("STATE_DIRECTORY");
  if (!managed.empty()) return std::string(managed.substr(0, managed.find(':')));
  // XDG Base Directory Specification 0.8: relative values are ignored.
  if (const auto state = variable("XDG_STATE_HOME"); state.starts_with('/')) {
    return fmt::format("{}/fieldpipe/{}", state, tool);
  }
  if (const auto home = variable("HOME"); home.starts_with('/')) {
    return fmt::format("{}/.local/state/fieldpipe/{}", home, tool);
  }
  return fail(ErrorCode::kUsage, fmt::format("nothing says where {} is", what), std::string(option));
}

}  // namespace fieldpipe::cli
