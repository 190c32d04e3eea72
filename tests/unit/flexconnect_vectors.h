// SPDX-License-Identifier: MIT
// What the FlexConnect tests share: their vectors, and messages as hex.
#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/bytes.h"

namespace fieldpipe::flexconnect {

// The lines of tests/vectors/can/`name`.
inline std::vector<nlohmann::json> read_vectors(const std::string& name) {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/can/" + name);
  std::vector<nlohmann::json> vectors;
  for (std::string line; std::getline(file, line);) vectors.push_back(nlohmann::json::parse(line));
  REQUIRE_FALSE(vectors.empty());
  return vectors;
}

inline std::string to_hex(Bytes bytes) {
  std::string out;
  append_hex(out, bytes);
  return out;
}

inline std::string from_hex(std::string_view text) {
  std::string out;
  REQUIRE(decode_hex(text, out));
  return out;
}

}  // namespace fieldpipe::flexconnect
