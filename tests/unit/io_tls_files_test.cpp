// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "io/tls_files.h"

namespace fieldpipe::io {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path = (fs::temp_directory_path() / "tls-test-XXXXXX").string();
};

const std::string kCertificateText = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const std::string kKeyText = "-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n";

TEST_CASE("files of TLS are of the kind that they are named for") {
  const Folder folder;
  const std::string cert = folder.write("cert", kCertificateText);
  const std::string key = folder.write("key", kKeyText);
  CHECK(check_tls_files({}));
  CHECK(check_tls_files({.cafile = cert, .capath = folder.path, .cert = cert, .key = key}));

  // As certbot keeps them.
  fs::create_symlink(cert, folder.path + "/link");
  CHECK(check_tls_files({.cafile = folder.path + "/link", .capath = {}, .cert = {}, .key = {}}));

  const auto refused = [](const TlsFiles& files, ErrorCode code, const std::string& what) {
    const auto checked = check_tls_files(files);
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.error().code == code);
    CHECK(checked.error().what == what);
  };
  refused({.cafile = key, .capath = {}, .cert = {}, .key = {}}, ErrorCode::kConfig,
          "--cafile: " + key + ": no certificate in PEM form");
  refused({.cafile = {}, .capath = {}, .cert = key, .key = cert}, ErrorCode::kConfig,
          "--cert: " + key + ": no certificate in PEM form");
  refused({.cafile = {}, .capath = {}, .cert = cert, .key = cert}, ErrorCode::kConfig,
          "--key: " + cert + ": no private key in PEM form");
  refused({.cafile = folder.path, .capath = {}, .cert = {}, .key = {}}, ErrorCode::kIo,
          "--cafile: " + folder.path + ": Is a directory");
  refused({.cafile = {}, .capath = folder.path + "/none", .cert = {}, .key = {}}, ErrorCode::kNoInput,
          "--capath: " + folder.path + "/none: No such file or directory");
  refused({.cafile = {}, .capath = {}, .cert = cert, .key = {}}, ErrorCode::kUsage,
          "--cert: a client certificate needs --key, too");
  refused({.cafile = {}, .capath = {}, .cert = {}, .key = key}, ErrorCode::kUsage,
          "--key: a client certificate needs --cert, too");
  for (const char* text :
       {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n-----END RSA PRIVATE KEY-----\n"}) {
    const std::string encrypted = folder.write("encrypted", text);
    refused({.cafile = {}, .capath = {}, .cert = cert, .key = encrypted}, ErrorCode::kConfig,
            "--key: " + encrypted + ": the key is encrypted");
  }
}

TEST_CASE("a key that comes through a pipe is left to who reads it") {
  const Folder folder;
  const std::string pipe = folder.path + "/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(check_tls_files({.cafile = {}, .capath = {}, .cert = folder.write("cert", kCertificateText), .key = pipe}));
}

}  // namespace
}  // namespace fieldpipe::io
