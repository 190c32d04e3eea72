// SPDX-License-Identifier: MIT
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "core/bytes.h"
#include "digest/digest.h"

namespace fieldpipe::digest {
namespace {

std::string hex(const std::string& bytes) {
  std::string out;
  append_hex(out, as_bytes(bytes));
  return out;
}

// The examples of FIPS 180-4 and RFC 1321 for "abc".
TEST_CASE("digests of abc") {
  const Bytes abc = as_bytes("abc");
  CHECK(hex(digest(Algorithm::kMd5, abc)) == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(hex(digest(Algorithm::kSha256, abc)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(digest(Algorithm::kSha384, abc)) ==
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  CHECK(
      hex(digest(Algorithm::kSha512, abc)) ==
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
      "2a9ac94fa54ca49f");
}

TEST_CASE("a digest in pieces is that of the whole") {
  Digest running(Algorithm::kSha256);
  running.update(as_bytes("a"));
  Digest moved = std::move(running);
  moved.update({});
  moved.update(as_bytes("bc"));
  CHECK(moved.finish() == digest(Algorithm::kSha256, as_bytes("abc")));
}

TEST_CASE("sizes") {
  for (const Algorithm algorithm : {Algorithm::kMd5, Algorithm::kSha256, Algorithm::kSha384, Algorithm::kSha512}) {
    CHECK(digest(algorithm, {}).size() == digest_bytes(algorithm));
  }
}

}  // namespace
}  // namespace fieldpipe::digest
