// SPDX-License-Identifier: MIT
// What the Memfault tests share: their vectors.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "vectors.h"

namespace fieldpipe::memfault {

// All of tests/vectors/memfault/`name`.
inline std::string read_file(const std::string& name) { return read_vector_file("memfault/" + name); }

inline nlohmann::json read_vectors(const std::string& name) { return nlohmann::json::parse(read_file(name)); }

// Chunks of a vector as bytes.
inline std::vector<std::string> chunks_of(const nlohmann::json& hex) {
  std::vector<std::string> chunks;
  for (const auto& each : hex) chunks.push_back(from_hex(each.get<std::string>()));
  return chunks;
}

}  // namespace fieldpipe::memfault
