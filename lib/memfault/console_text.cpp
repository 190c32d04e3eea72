// SPDX-License-Identifier: MIT
#include "memfault/console_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/text.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::string_view kMark = "MC:";

constexpr std::array<bool, 256> kInBase64 = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_in_base64(char c) { return kInBase64[static_cast<unsigned char>(c)]; }

tl::unexpected<Error> bad(std::string what) { return fail(ErrorCode::kBadData, std::move(what)); }

// What is between the mark and the colon.
Result<void> decode_body(std::string_view body, std::size_t max_chunk_bytes, std::string& chunk) {
  chunk.clear();
  if (body.empty()) return bad("empty MC: record");
  if (body.size() % 4 != 0) return bad(fmt::format("MC: record of {} characters, not a multiple of 4", body.size()));
  if (auto decoded = decode_base64(body, chunk); !decoded)
    return tl::make_unexpected(std::move(decoded).error().in("MC: record"));
  if (chunk.size() > max_chunk_bytes)
    return bad(fmt::format("chunk of {} bytes, the limit is {}", chunk.size(), print_size(max_chunk_bytes)));
  return {};
}

// Why a body that no colon ends is none: it was cut, or something got into it.
Result<void> unended(std::string_view behind) {
  const auto c = behind.empty() ? '\n' : behind.front();
  if (c == '\n' || c == '\r' || c == ' ' || c == '\t' || c == '\x1b')
    return bad("MC: record without its closing colon");
  return bad(fmt::format("MC: record with the character '{}'", printable(behind.substr(0, 1))));
}

}  // namespace

ConsoleStep scan_console(std::string_view text, bool at_end, std::size_t max_chunk_bytes, std::string& chunk) {
  const std::size_t max_body_bytes = (max_chunk_bytes + 2) / 3 * 4;
  for (std::size_t from = 0;;) {
    const std::size_t mark = text.find(kMark, from);
    if (mark == std::string_view::npos) {
      // The last characters may begin a mark.
      std::size_t kept = 0;
      if (!at_end) {
        if (text.ends_with("MC") && text.size() - 2 >= from)
          kept = 2;
        else if (text.ends_with('M') && text.size() - 1 >= from)
          kept = 1;
      }
      return {text.size() - kept, std::nullopt, 0};
    }
    const std::size_t begin = mark + kMark.size();
    const auto* const stop =
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_in_base64);
    const auto end = static_cast<std::size_t>(stop - text.begin());
    const std::string_view body = text.substr(begin, end - begin);
    const std::string_view behind = text.substr(end);
    if (body.size() > max_body_bytes) {
      // Used as far as it was known to be too long, so that how the text comes makes no difference.
      return {begin + max_body_bytes + 1,
              Result<void>(bad(fmt::format("MC: record longer than the limit of {}", print_size(max_chunk_bytes)))),
              mark};
    }
    // A record may have been cut by the next one, whose mark then looks like its end: `MC:SFQCMC:gCx0Bg==:`.
    const bool ends_in_mark = body.ends_with("MC");
    if (!at_end && (behind.empty() || (ends_in_mark && behind.size() == 1))) return {mark, std::nullopt, 0};
    if (behind.starts_with(':')) {
      if (ends_in_mark && behind.size() > 1 && is_in_base64(behind[1]))
        return {end - 2, Result<void>(bad("MC: record that runs into the next one")), mark};
      return {end + 1, decode_body(body, max_chunk_bytes, chunk), mark};
    }
    if (!body.empty()) return {end, unended(behind), mark};
    from = begin;
  }
}

}  // namespace fieldpipe::memfault
