// SPDX-License-Identifier: MIT
#include "cli/secret.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

namespace fieldpipe::cli {
namespace {

constexpr std::size_t kMaxSecretBytes = std::size_t{64} * 1024;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(errno == ENOENT ? ErrorCode::kNoInput : ErrorCode::kIo,
                fmt::format("{}: {}", path, std::generic_category().message(errno)));
  }
  std::string text(kMaxSecretBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail(ErrorCode::kIo, fmt::format("{}: cannot be read", path));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxSecretBytes) return fail(ErrorCode::kConfig, fmt::format("{}: longer than 64KiB", path));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return fail(ErrorCode::kConfig, fmt::format("{}: empty", path));
  if (text.find('\0') != std::string::npos) return fail(ErrorCode::kConfig, fmt::format("{}: holds a NUL byte", path));
  return text;
}

}  // namespace

Result<std::optional<std::string>> read_secret(const SecretSource& source) {
  if (!source.path.empty()) {
    auto text = read_file(source.path);
    if (!text) return tl::make_unexpected(std::move(text).error().in("--" + source.option));
    return std::optional<std::string>(*std::move(text));
  }
  if (const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
      directory != nullptr && !source.credential.empty()) {
    const std::string path = fmt::format("{}/{}", directory, source.credential);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      auto text = read_file(path);
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
