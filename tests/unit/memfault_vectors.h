// SPDX-License-Identifier: MIT
// What the Memfault tests share: their vectors, and bytes as hex.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/bytes.h"

namespace fieldpipe::memfault {

// All of tests/vectors/memfault/`name`.
inline std::string read_file(const std::string& name) {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/memfault/" + name, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE_FALSE(text.empty());
  return text;
}

inline nlohmann::json read_vectors(const std::string& name) { return nlohmann::json::parse(read_file(name)); }

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

// Chunks of a vector as bytes.
inline std::vector<std::string> chunks_of(const nlohmann::json& hex) {
  std::vector<std::string> chunks;
  for (const auto& each : hex) chunks.push_back(from_hex(each.get<std::string>()));
  return chunks;
}

}  // namespace fieldpipe::memfault
