// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "io/file.h"
#include "scratch.h"

namespace fieldpipe::io {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a file is replaced as a whole, with its modes and nothing beside it") {
  const Scratch folder;
  const std::string path = folder.path + "/state";
  for (const auto durable : {Durable::kNo, Durable::kYes}) {
    REQUIRE(replace_file(path, "first", 0600, durable));
    REQUIRE(replace_file(path, "second", 0644, durable));
    CHECK(read_file(path, 6).value() == "second");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0644);
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
  }
}

TEST_CASE("what cannot be replaced stays, and what cannot be read is said") {
  const Scratch folder;
  const std::string path = folder.path + "/state";
  fs::create_directory(path);
  fs::create_directory(path + "/inside");
  const auto replaced = replace_file(path, "text", 0600, Durable::kNo);
  REQUIRE_FALSE(replaced);
  CHECK(replaced.error().code == ErrorCode::kIo);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);

  CHECK(read_file(folder.path + "/none", 10).error().code == ErrorCode::kNoInput);
  REQUIRE(replace_file(folder.path + "/eleven", "12345678901", 0600, Durable::kNo));
  const auto large = read_file(folder.path + "/eleven", 10);
  REQUIRE_FALSE(large);
  CHECK(large.error().code == ErrorCode::kBadData);
  CHECK(large.error().what == folder.path + "/eleven: more than 10 bytes");
}

}  // namespace
}  // namespace fieldpipe::io
