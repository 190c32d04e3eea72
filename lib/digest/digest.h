// SPDX-License-Identifier: MIT
// Cryptographic digests: SHA-2 of firmware images and files, MD5 where a service still names it. The only place that
// knows OpenSSL's EVP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/bytes.h"

namespace fieldpipe::digest {

enum class Algorithm : std::uint8_t { kMd5, kSha256, kSha384, kSha512 };

// Bytes of a digest.
std::size_t digest_bytes(Algorithm algorithm);

// A digest that grows with its input. Move-only.
class Digest {
 public:
  explicit Digest(Algorithm algorithm);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void update(Bytes bytes);

  // The digest as bytes; nothing may be added afterwards.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The digest of all of `bytes`, as bytes.
std::string digest(Algorithm algorithm, Bytes bytes);

}  // namespace fieldpipe::digest
