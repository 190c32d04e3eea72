// SPDX-License-Identifier: MIT
#include "flexconnect/message.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "gzip/inflate.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::byte kGzip{0x1F};
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kB64Key = "\"b64\"";

std::string_view without_space(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
}

// Whether a message starts as JSON does; `text` then loses its byte order mark.
bool is_json(std::string_view& text) {
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
    return true;
  }
  return text.front() == '{' || kSpace.find(text.front()) != std::string_view::npos;
}

// Whether the first key is b64, in the spelling that every writer uses.
bool is_b64(std::string_view text) {
  text = without_space(text);
  return text.starts_with('{') && without_space(text.substr(1)).starts_with(kB64Key);
}

}  // namespace

Result<Message> Unwrapper::unwrap(Bytes message) {
  if (message.empty()) return fail_at(0, ErrorCode::kBadData, "empty message");
  if (message.front() == kCompressedBinary) return inflate(message.subspan(1), 1);
  if (message.front() == kGzip) return inflate(message, 0);
  std::string_view text = as_text(message);
  if (!is_json(text)) {
    // A token length that begins with a character would be that of a token of half a gigabyte.
    if (message.front() >= std::byte{' '} && message.front() < kCompressedBinary) {
      const bool hex = std::all_of(text.begin(), text.end(),
                                   [](char c) { return kHexValue[static_cast<unsigned char>(c)] != kNotHex; });
      return fail_at(0, ErrorCode::kBadData,
                     fmt::format("neither a binary message nor JSON: '{}'", printable(text, 20)),
                     hex ? "--from hex" : "");
    }
    return Message{Form::kBinary, message, false};
  }
  if (is_b64(text)) return unwrap_b64(text);
  return Message{Form::kJson, as_bytes(text), false};
}

Result<Message> Unwrapper::inflate(Bytes member, std::size_t offset) {
  inflated_.clear();
  if (auto inflated = gzip::inflate(member, max_inflated_bytes_, inflated_); !inflated) {
    Error error = std::move(inflated.error());
    if (error.offset) *error.offset += offset;
    return tl::make_unexpected(std::move(error));
  }
  if (inflated_.empty()) return fail(ErrorCode::kBadData, "empty message inside the compression");
  std::string_view text = inflated_;
  const bool json = is_json(text);
  if (as_bytes(text).front() == kCompressedBinary || as_bytes(text).front() == kGzip || (json && is_b64(text))) {
    return fail(ErrorCode::kBadData, "message is compressed twice");
  }
  return Message{json ? Form::kJson : Form::kBinary, as_bytes(text), true};
}

Result<Message> Unwrapper::unwrap_b64(std::string_view text) {
  decoded_.clear();
  reader_.open(text);
  reader_.enter_object();
  while (reader_.next_member()) {
    if (reader_.key() != "b64" || !decoded_.empty()) {
      reader_.refuse("b64 must be the only key of a message");
    } else if (const auto decoded = decode_base64(reader_.string(), decoded_); !decoded) {
      reader_.refuse(decoded.error().what);
    } else if (decoded_.empty()) {
      reader_.refuse("empty message");
    }
  }
  if (auto walked = reader_.finish(); !walked) return fail(std::move(walked));
  auto inflated = inflate(as_bytes(decoded_), 0);
  if (inflated) return inflated;
  // The place in the gzip member is none in the text.
  Error error = std::move(inflated.error()).in("b64");
  error.offset.reset();
  return tl::make_unexpected(std::move(error));
}

std::optional<record::Framing> detect_framing(Bytes start, bool at_end) {
  const std::string_view text = as_text(start).substr(0, record::kFrameMark.size());
  if (text == record::kFrameMark) return record::Framing::kFrames;
  if (record::kFrameMark.starts_with(text) && !at_end) return std::nullopt;
  if (text.empty()) return record::Framing::kLines;
  const std::byte first = start.front();
  const bool whole = first == std::byte{0} || first == kCompressedBinary || first == kGzip;
  return whole ? record::Framing::kWhole : record::Framing::kLines;
}

Result<void> compress_binary(gzip::Compressor& compressor, Bytes message, std::string& out) {
  out.push_back(static_cast<char>(kCompressedBinary));
  auto compressed = compressor.compress(message, out);
  if (!compressed) out.pop_back();
  return compressed;
}

Result<void> compress_json(gzip::Compressor& compressor, std::string_view message, std::string& out) {
  std::string member;
  if (auto compressed = compressor.compress(as_bytes(message), member); !compressed) return compressed;
  out.append("{\"b64\":\"");
  append_base64(out, as_bytes(member));
  out.append("\"}");
  return {};
}

}  // namespace fieldpipe::flexconnect
