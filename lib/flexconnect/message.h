// SPDX-License-Identifier: MIT
// What is around a FlexConnect message: which of its forms it has, told by content, and its compression.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"
#include "gzip/compress.h"
#include "json/reader.h"
#include "record/framing.h"

namespace fieldpipe::flexconnect {

inline constexpr std::size_t kDefaultMaxInflatedBytes = std::size_t{16} << 20U;

// Stands before the gzip member of a compressed binary message.
inline constexpr std::byte kCompressedBinary{0xFC};

enum class Form : std::uint8_t { kBinary, kJson };

// A message without its compression.
struct Message {
  Form form;
  Bytes body;       // for BinaryDecoder or JsonDecoder; lives as long as what it was unwrapped from, and the unwrapper
  bool compressed;  // on the wire; then offsets of later errors count in the body
};

// Takes off compression. The forms, by their first byte:
//
//   00            plain binary: the token length of any token below 16 MiB
//   FC            compressed binary: one gzip member follows
//   1F            gzip without that prefix, which is accepted too
//   { or space    JSON; {"b64": "..."} holds a gzip member in base64. A byte order mark before it is dropped
//
// Other text is refused here; anything else can only be a binary message with an absurd token length, which its decoder
// names.
class Unwrapper {
 public:
  explicit Unwrapper(std::size_t max_inflated_bytes = kDefaultMaxInflatedBytes)
      : max_inflated_bytes_(max_inflated_bytes) {}

  // Fails with kBadData: nothing there, compression that is damaged, cut, followed by other bytes, above the limit, or
  // around another compression. Whatever is in the inside is told by its first byte again.
  Result<Message> unwrap(Bytes message);

 private:
  Result<Message> inflate(Bytes member, std::size_t offset);
  Result<Message> unwrap_b64(std::string_view text);

  std::size_t max_inflated_bytes_;
  json::Reader reader_;
  std::string decoded_;
  std::string inflated_;
};

// How an input holds messages, by its first bytes: frames; one binary or compressed message saved as it is (whole);
// else lines, of which each is a JSON message. Nothing where more bytes are needed.
std::optional<record::Framing> detect_framing(Bytes start, bool at_end);

// Appends a binary message in its compressed form. Fails as gzip::Compressor does.
Result<void> compress_binary(gzip::Compressor& compressor, Bytes message, std::string& out);

// Appends a JSON message in its compressed form, which is one line of JSON again.
Result<void> compress_json(gzip::Compressor& compressor, std::string_view message, std::string& out);

}  // namespace fieldpipe::flexconnect
