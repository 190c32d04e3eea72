// SPDX-License-Identifier: MIT
// A folder for one test case.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace fieldpipe {

// An empty folder, which goes away with all that is in it.
struct Scratch {
  explicit Scratch(const std::filesystem::path& base = std::filesystem::temp_directory_path())
      : path((base / "fieldpipe-XXXXXX").string()) {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path); }

  [[nodiscard]] std::string operator/(std::string_view name) const {
    return (std::filesystem::path(path) / name).string();
  }

  // The path of a new file in it.
  [[nodiscard]] std::string file(std::string_view name, const std::string& text) const {
    std::ofstream(*this / name, std::ios::binary) << text;
    return *this / name;
  }

  std::string path;
};

}  // namespace fieldpipe
