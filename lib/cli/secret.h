// SPDX-License-Identifier: MIT
// Passwords, tokens and keys: where they may come from. Never an option value, because arguments are
// visible to every user of the machine.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::cli {

struct SecretSource {
  std::string option;       // what names the file, for messages: "--token-file", or a key of a configuration
  std::string path;         // its value; empty: not given. /dev/fd/3 reads a descriptor
  std::string environment;  // variable that holds the secret itself; empty where peers have none
  std::string credential;   // file name below $CREDENTIALS_DIRECTORY (systemd.exec(5), "Credentials")
};

// The secret, without one line end behind it: from the file, else the service manager's credential,
// else the environment. Nothing where none of them has it. Fails with kNoInput or kIo for a file
// that was named but cannot be read, with kConfig for an empty one, one with a NUL byte or of more
// than 64 KiB. No message ever holds any of the secret.
Result<std::optional<std::string>> read_secret(const SecretSource& source);

}  // namespace fieldpipe::cli
