// SPDX-License-Identifier: MIT
// Posting chunks over HTTPS, as values: what a request holds and what an answer means. Facts about the interface are
// those of the public page "Upload Chunk" of docs.memfault.com.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::memfault {

inline constexpr std::string_view kChunkEndpoint = "https://chunks.memfault.com";
inline constexpr std::string_view kProjectKeyHeader = "Memfault-Project-Key";
inline constexpr std::string_view kChunkContentType = "application/octet-stream";  // of a body that is one chunk

// Where the chunks of `device` are posted; `endpoint` is a URL, with or without a / at its end. The serial stands in
// the path unescaped: it must be one that check_device() accepts.
std::string chunk_url(std::string_view endpoint, std::string_view device);

// A boundary out of 128 random bits.
std::string multipart_boundary(std::span<const std::byte, 16> random);

// The type of a body of several chunks.
std::string multipart_content_type(std::string_view boundary);

// Appends the body of a request that holds `chunks` in order (RFC 2046 section 5.1, with a Content-Type and a
// Content-Length in front of each). Fails with kBadData when the boundary occurs in a chunk, which another boundary
// cures; `out` is then as it was.
Result<void> append_multipart(std::string& out, std::string_view boundary, std::span<const Bytes> chunks);

// What an answer says about the chunks of the request, and whom a failure concerns.
enum class Verdict : std::uint8_t {
  kDelivered,
  kRecord,      // something about these chunks is not taken: split, and set the one aside
  kSize,        // they are too much in one request
  kCredential,  // the project key, or its quota: all of the key wait, nothing is dropped
  kEndpoint,    // this is no chunk endpoint: all of it wait, nothing is dropped
  kRate,        // too much from this device
  kServer,      // not now
  kNetwork,     // no answer of the server we mean
};

// What is known of an answer. Views: they must last for the call.
struct PostAnswer {
  int status = 0;
  bool complete_header = false;   // the header block came to its end; a body may be cut
  std::string_view content_type;  // the field, empty without one
  std::string_view body;          // how it begins
};

// 202 is what the server says to chunks. 200, 201 and 204 are taken as well unless the answer is a web page: a portal
// that wants a login, or a proxy's. 409 means that they are there already. Redirects are somebody else's.
Verdict judge(const PostAnswer& answer);

// As a word: `delivered`, `record`, ...
std::string_view print(Verdict verdict);

}  // namespace fieldpipe::memfault
