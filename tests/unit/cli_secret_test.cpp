// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "cli/secret.h"
#include "scratch.h"

using namespace fieldpipe;
using namespace std::string_literals;

namespace {

// A folder with files, and the variables that lead to it, for one test case.
struct Surroundings : Scratch {
  Surroundings() {
    ::setenv("CREDENTIALS_DIRECTORY", path.c_str(), 1);
    ::unsetenv("FC_TOKEN");
  }
  ~Surroundings() {
    ::unsetenv("CREDENTIALS_DIRECTORY");
    ::unsetenv("FC_TOKEN");
  }
};

Result<std::optional<std::string>> read(const std::string& path) {
  return cli::read_secret({.option = "--token-file", .path = path, .environment = "FC_TOKEN", .credential = "fc-token"});
}

}  // namespace

TEST_CASE("a secret comes from its file, else the credential, else the environment") {
  const Surroundings surroundings;
  CHECK(read("").value() == std::nullopt);
  ::setenv("FC_TOKEN", "", 1);
  CHECK(read("").value() == std::nullopt);
  ::setenv("FC_TOKEN", "from environment", 1);
  CHECK(read("").value() == "from environment");
  const std::string credential = surroundings.file("fc-token", "from credential\n");
  CHECK(read("").value() == "from credential");
  CHECK(read(surroundings.file("named", "from file")).value() == "from file");
}

TEST_CASE("one line end is not part of a secret, all else is") {
  const Surroundings surroundings;
  CHECK(read(surroundings.file("a", "key\n")).value() == "key");
  CHECK(read(surroundings.file("a", "key\r\n")).value() == "key");
  CHECK(read(surroundings.file("a", " key \n\n")).value() == " key \n");
}

TEST_CASE("a file that holds no secret is refused without showing what it holds") {
  const Surroundings surroundings;
  const auto refusal = [&](const std::string& path, ErrorCode code) {
    const auto secret = read(path);
    REQUIRE_FALSE(secret);
    CHECK(secret.error().code == code);
    return secret.error().what;
  };
  const std::string path = surroundings.file("a", "");
  CHECK(refusal(path, ErrorCode::kConfig) == "--token-file: " + path + ": empty");
  static_cast<void>(surroundings.file("a", "\n"));
  CHECK(refusal(path, ErrorCode::kConfig) == "--token-file: " + path + ": empty");
  static_cast<void>(surroundings.file("a", "s3cr\0t"s));
  CHECK(refusal(path, ErrorCode::kConfig) == "--token-file: " + path + ": holds a NUL byte");
  static_cast<void>(surroundings.file("a", std::string(64 * 1024 + 1, 'k')));
  CHECK(refusal(path, ErrorCode::kConfig) == "--token-file: " + path + ": longer than 64KiB");
  CHECK(refusal(path + ".missing", ErrorCode::kNoInput) ==
        "--token-file: " + path + ".missing: No such file or directory");
}
