// SPDX-License-Identifier: MIT
// What tests over vectors share: the files, and bytes as hex.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "core/bytes.h"

namespace fieldpipe {

// All of tests/vectors/`path`.
inline std::string read_vector_file(const std::string& path) {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/" + path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE_FALSE(text.empty());
  return text;
}

// Its lines.
template <typename Json>
std::vector<Json> read_vector_lines(const std::string& path) {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/" + path);
  std::vector<Json> vectors;
  for (std::string line; std::getline(file, line);) vectors.push_back(Json::parse(line));
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

}  // namespace fieldpipe
