// SPDX-License-Identifier: MIT
// Fetches the artifact of a release: resumed where it was cut, checked, and only then under its name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/report.h"
#include "core/result.h"
#include "http/client.h"
#include "io/loop.h"
#include "memfault/release.h"

namespace fieldpipe::ota {

// Called with the bytes that are there and the size of the file, 0 where it is not known.
using OnProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// A new URL of the same release when the one at hand has expired. Fails with kUnavailable when the release has changed.
using Renew = std::function<Result<std::string>()>;

// Downloads `artifact` to the file `path`, or what that links to, which appears whole or not at all: it is written to
// PATH.part, whose bytes a later run goes on with where the artifact has a digest to tell that they are its. A download
// that breaks off is resumed (RFC 9110 section 14) up to kMostAttempts times in a row without a byte of progress, with
// growing delays; 401, 403, 404 and 410 ask `renew` once.
//
// The file's size and its strongest digest (SHA-256, MD5) must be those of the artifact: otherwise kBadData, and
// nothing is kept. Fails with kUnavailable where going on later may help, kRefused where the server refuses, kIo.
Result<void> download(io::Loop& loop, http::Client& client, memfault::Artifact artifact, const std::string& path,
                      const OnProgress& on_progress, const Renew& renew, cli::Report& report);

inline constexpr unsigned kMostAttempts = 5;

}  // namespace fieldpipe::ota
