// SPDX-License-Identifier: MIT
#include "digest/digest.h"

#include <new>

#include <openssl/evp.h>

namespace fieldpipe::digest {
namespace {

const EVP_MD* method(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kMd5: return EVP_md5();
    case Algorithm::kSha256: return EVP_sha256();
    case Algorithm::kSha384: return EVP_sha384();
    case Algorithm::kSha512: break;
  }
  return EVP_sha512();
}

}  // namespace

struct Digest::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();

  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
};

std::size_t digest_bytes(Algorithm algorithm) { return static_cast<std::size_t>(EVP_MD_get_size(method(algorithm))); }

Digest::Digest(Algorithm algorithm) : context_(std::make_unique<Context>()) {
  // Fails for want of memory only.
  if (context_->evp == nullptr || EVP_DigestInit_ex(context_->evp, method(algorithm), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(Bytes bytes) { EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()); }

std::string Digest::finish() {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(out.data()), &size);
  out.resize(size);
  return out;
}

std::string digest(Algorithm algorithm, Bytes bytes) {
  Digest running(algorithm);
  running.update(bytes);
  return running.finish();
}

}  // namespace fieldpipe::digest
