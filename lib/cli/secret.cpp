// SPDX-License-Identifier: MIT
#include "cli/secret.h"

#include <sys/stat.h>

#include <cstdlib>

#include <fmt/format.h>

#include "cli/file.h"

namespace fieldpipe::cli {
namespace {

constexpr std::size_t kMaxSecretBytes = std::size_t{64} * 1024;

Result<std::string> read_secret_file(const std::string& path) {
  auto text = read_file(path, kMaxSecretBytes, ErrorCode::kConfig);
  if (!text) return text;
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (text->empty()) return fail(ErrorCode::kConfig, fmt::format("{}: empty", path));
  if (text->find('\0') != std::string::npos) return fail(ErrorCode::kConfig, fmt::format("{}: holds a NUL byte", path));
  return text;
}

}  // namespace

Result<std::optional<std::string>> read_secret(const SecretSource& source) {
  if (!source.path.empty()) {
    auto text = read_secret_file(source.path);
    if (!text) return tl::make_unexpected(std::move(text).error().in(source.option));
    return std::optional<std::string>(*std::move(text));
  }
  if (const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
      directory != nullptr && !source.credential.empty()) {
    const std::string path = fmt::format("{}/{}", directory, source.credential);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      auto text = read_secret_file(path);
      if (!text) return fail(std::move(text));
      return std::optional<std::string>(*std::move(text));
    }
  }
  if (!source.environment.empty()) {
    if (const char* value = std::getenv(source.environment.c_str()); value != nullptr && *value != '\0') {
      return std::optional<std::string>(value);
    }
  }
  return std::optional<std::string>();
}

}  // namespace fieldpipe::cli
