// SPDX-License-Identifier: MIT
#include "memfault/upload.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::string_view kPath = "/api/v0/chunks/";
constexpr std::string_view kDashes = "--";
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kPartHeader = "\r\nContent-Type: application/octet-stream\r\nContent-Length: ";
constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

bool is_web_page(const PostAnswer& answer) {
  constexpr std::string_view kHtml = "text/html";
  const std::string_view type = trimmed(answer.content_type).substr(0, kHtml.size());
  if (std::equal(type.begin(), type.end(), kHtml.begin(), kHtml.end(),
                 [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; })) {
    return true;
  }
  std::string_view body = answer.body;
  if (body.starts_with(kUtf8Mark)) body.remove_prefix(kUtf8Mark.size());
  return trimmed(body).starts_with('<');
}

}  // namespace

std::string chunk_url(std::string_view endpoint, std::string_view device) {
  if (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  std::string url;
  url.reserve(endpoint.size() + kPath.size() + device.size());
  url.append(endpoint).append(kPath).append(device);
  return url;
}

std::string multipart_boundary(std::span<const std::byte, 16> random) {
  std::string boundary;
  append_hex(boundary, random);
  return boundary;
}

std::string multipart_content_type(std::string_view boundary) {
  return fmt::format("multipart/mixed; boundary={}", boundary);
}

Result<void> append_multipart(std::string& out, std::string_view boundary, std::span<const Bytes> chunks) {
  constexpr std::size_t kLengthDigits = 20;
  std::size_t size = boundary.size() + 2 * kDashes.size() + kLineEnd.size();
  for (const Bytes chunk : chunks) {
    if (as_text(chunk).find(boundary) != std::string_view::npos) {
      return fail(ErrorCode::kBadData, "the boundary occurs in a chunk");
    }
    size += kDashes.size() + boundary.size() + kPartHeader.size() + kLengthDigits + 3 * kLineEnd.size() + chunk.size();
  }
  out.reserve(out.size() + size);
  for (const Bytes chunk : chunks) {
    const fmt::format_int length(chunk.size());
    out.append(kDashes).append(boundary).append(kPartHeader).append(length.data(), length.size());
    out.append(kLineEnd).append(kLineEnd).append(as_text(chunk)).append(kLineEnd);
  }
  out.append(kDashes).append(boundary).append(kDashes).append(kLineEnd);
  return {};
}

Verdict judge(const PostAnswer& answer) {
  if (!answer.complete_header) return Verdict::kNetwork;
  switch (answer.status) {
    case 202:
    case 409: return Verdict::kDelivered;
    case 200:
    case 201:
    case 204: return is_web_page(answer) ? Verdict::kNetwork : Verdict::kDelivered;
    case 401:
    case 403:
    case 407: return Verdict::kCredential;
    case 404:
    case 405:
    case 501:
    case 505: return Verdict::kEndpoint;
    case 408:
    case 425: return Verdict::kServer;
    case 413: return Verdict::kSize;
    case 429: return Verdict::kRate;
    case 511: return Verdict::kNetwork;  // RFC 6585: a network that wants a login says it, not the server
    default: break;
  }
  if (answer.status >= 400 && answer.status < 500) return Verdict::kRecord;
  if (answer.status >= 500 && answer.status < 600) return Verdict::kServer;
  return Verdict::kNetwork;
}

std::string_view print(Verdict verdict) {
  constexpr std::array<std::string_view, 8> kWords{"delivered", "record", "size",   "credential",
                                                   "endpoint",  "rate",   "server", "network"};
  return kWords[static_cast<std::size_t>(verdict)];
}

}  // namespace fieldpipe::memfault
