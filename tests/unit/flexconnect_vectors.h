// SPDX-License-Identifier: MIT
// What the FlexConnect tests share: their vectors.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "vectors.h"

namespace fieldpipe::flexconnect {

// The lines of tests/vectors/can/`name`.
inline std::vector<nlohmann::json> read_vectors(const std::string& name) {
  return read_vector_lines<nlohmann::json>("can/" + name);
}

}  // namespace fieldpipe::flexconnect
