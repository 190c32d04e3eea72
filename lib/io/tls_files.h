// SPDX-License-Identifier: MIT
// The files of TLS. The libraries read them with each connection and tell little of one that they cannot use.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::io {

// Paths; empty ones are not given.
struct TlsFiles {
  std::string cafile;  // without both, the system's authorities in /etc/ssl/certs
  std::string capath;
  std::string cert;  // with key: our own certificate
  std::string key;
};

// Whether they can be what they are named for: readable, a certificate and a key together, and PEM (RFC 7468) of the
// right kind, which is looked for in regular files only: a pipe can be read once. Fails with kUsage for one of
// certificate and key, kNoInput or kIo for a file that cannot be read, and kConfig for one that holds something else;
// `what` begins with the option.
Result<void> check_tls_files(const TlsFiles& files);

// Whether `text` has a "certificate" or a "private key" between the lines of PEM (RFC 7468).
bool holds_pem(std::string_view text, std::string_view what);

}  // namespace fieldpipe::io
