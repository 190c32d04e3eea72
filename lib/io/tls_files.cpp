// SPDX-License-Identifier: MIT
#include "io/tls_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

#include "io/descriptor.h"

namespace fieldpipe::io {
namespace {

// The bundle of all public authorities has a quarter of a megabyte.
constexpr std::size_t kMostBytes = std::size_t{16} << 20U;

constexpr std::string_view kCertificate = "certificate";
constexpr std::string_view kPrivateKey = "private key";

struct Named {
  std::string_view option;
  const std::string& path;
  std::string_view what;  // is in it, in the words of holds_pem; empty: it is a directory
};

Result<void> check_readable(const Named& file) {
  if (::access(file.path.c_str(), R_OK) == 0) return {};
  return tl::make_unexpected(system_error(file.path, errno).in(file.option));
}

Result<void> check_text(const Named& file) {
  struct stat status {};
  if (::stat(file.path.c_str(), &status) != 0)
    return tl::make_unexpected(system_error(file.path, errno).in(file.option));
  if (S_ISDIR(status.st_mode)) return tl::make_unexpected(system_error(file.path, EISDIR).in(file.option));
  if (!S_ISREG(status.st_mode)) return {};
  // Not by io::read_file, which follows no links: certificates are often links to where they are renewed.
  std::ifstream in(file.path, std::ios::binary);
  std::string text(std::min(static_cast<std::size_t>(status.st_size), kMostBytes), '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(text.size())) && in.bad()) {
    return tl::make_unexpected(system_error(file.path, EIO).in(file.option));
  }
  if (!holds_pem(text, file.what)) {
    return fail(ErrorCode::kConfig, fmt::format("{}: {}: no {} in PEM form", file.option, file.path, file.what));
  }
  // As PKCS #8 names it, and as the older form of OpenSSL does.
  if (file.what == kPrivateKey &&
      (text.find("BEGIN ENCRYPTED") != std::string::npos || text.find("Proc-Type: 4,ENCRYPTED") != std::string::npos)) {
    return fail(ErrorCode::kConfig, fmt::format("{}: {}: the key is encrypted", file.option, file.path),
                "openssl pkey writes it without a passphrase");
  }
  return {};
}

}  // namespace

bool holds_pem(std::string_view text, std::string_view what) {
  // Before the word there may be more of it, as in X509 CERTIFICATE and EC PRIVATE KEY.
  return text.find(what == kCertificate ? "CERTIFICATE-----" : "PRIVATE KEY-----") != std::string_view::npos;
}

Result<void> check_tls_files(const TlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return fail(ErrorCode::kUsage,
                fmt::format("{}: a client certificate needs {}, too", files.cert.empty() ? "--key" : "--cert",
                            files.cert.empty() ? "--cert" : "--key"));
  }
  for (const Named& file :
       std::array{Named{"--cafile", files.cafile, kCertificate}, Named{"--capath", files.capath, {}},
                  Named{"--cert", files.cert, kCertificate}, Named{"--key", files.key, kPrivateKey}}) {
    if (file.path.empty()) continue;
    if (auto readable = check_readable(file); !readable) return readable;
    if (file.what.empty()) continue;
    if (auto checked = check_text(file); !checked) return checked;
  }
  return {};
}

}  // namespace fieldpipe::io
