// SPDX-License-Identifier: MIT
// A body of several chunks is read back to the same chunks; every answer has one verdict, and a cut one is no success.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "memfault/upload.h"

using namespace fieldpipe;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void take(std::string_view& rest, std::string_view expected) {
  must(rest.starts_with(expected));
  rest.remove_prefix(expected.size());
}

std::vector<std::string> read_multipart(std::string_view rest, const std::string& boundary) {
  std::vector<std::string> chunks;
  while (!rest.starts_with("--" + boundary + "--")) {
    take(rest, "--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Length: ");
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
    must(error == std::errc{});
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    take(rest, "\r\n\r\n");
    must(size <= rest.size());
    chunks.emplace_back(rest.substr(0, size));
    rest.remove_prefix(size);
    take(rest, "\r\n");
  }
  must(rest == "--" + boundary + "--\r\n");
  return chunks;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 18) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto boundary = memfault::multipart_boundary(std::span<const std::byte, 16>(as_bytes(text).data(), 16));
  std::vector<Bytes> chunks;
  std::vector<std::string> expected;
  for (std::string_view rest = text.substr(16); !rest.empty();) {  // each: a length and that many bytes
    const std::string_view chunk = rest.substr(1, static_cast<unsigned char>(rest[0]));
    chunks.push_back(as_bytes(chunk));
    expected.emplace_back(chunk);
    rest.remove_prefix(chunk.size() + 1);
  }
  std::string body;
  if (memfault::append_multipart(body, boundary, chunks)) must(read_multipart(body, boundary) == expected);

  memfault::PostAnswer answer{.status = data[0] * 256 + data[1],
                              .complete_header = true,
                              .content_type = text.substr(2, 10),
                              .body = text.substr(12)};
  must(!print(judge(answer)).empty());
  answer.complete_header = false;
  must(judge(answer) == memfault::Verdict::kNetwork);
  return 0;
}
