// SPDX-License-Identifier: MIT
#include <array>
#include <string>

#include <doctest/doctest.h>
#include <lz4frame.h>

#include "lz4/frame.h"

using namespace fieldpipe;

namespace {

std::string inflated(std::string_view frame, std::size_t expected_bytes) {
  LZ4F_dctx* context = nullptr;
  REQUIRE(LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) == 0U);
  std::string text(expected_bytes + 1, '\0');
  std::size_t size = 0;
  std::size_t hint = 1;
  while (!frame.empty() && hint != 0) {
    std::size_t room = text.size() - size;
    std::size_t taken = frame.size();
    hint = LZ4F_decompress(context, text.data() + size, &room, frame.data(), &taken, nullptr);
    REQUIRE(LZ4F_isError(hint) == 0U);
    size += room;
    frame.remove_prefix(taken);
  }
  CHECK(hint == 0);
  CHECK(frame.empty());
  LZ4F_freeDecompressionContext(context);
  text.resize(size);
  return text;
}

}  // namespace

TEST_CASE("a frame holds what was given, behind what was there") {
  std::string noise;
  for (unsigned i = 0, state = 1; i < 300000; ++i)
    noise += static_cast<char>((state = state * 1103515245U + 12345U) >> 16U);
  for (const std::string& text : {std::string(), std::string("x"), std::string(1000, 'a'), std::string(65536, 'b'),
                                  std::string(65537, 'c'), std::string(5000000, 'd'), noise}) {
    std::string out = "before";
    lz4::append_frame(out, as_bytes(text));
    REQUIRE(out.starts_with("before"));
    CHECK(inflated(std::string_view(out).substr(6), text.size()) == text);
  }
}

TEST_CASE("the header is the one readers know") {
  constexpr std::string_view kSmall("\x04\x22\x4d\x18\x60\x40\x82", 7);
  for (const std::size_t size : {1U, 1000U, 65536U}) {
    std::string out;
    lz4::append_frame(out, as_bytes(std::string(size, 'x')));
    CHECK(out.starts_with(kSmall));
  }
  std::string out;
  lz4::append_frame(out, as_bytes(std::string(65537, 'x')));
  CHECK_FALSE(out.starts_with(kSmall));
  CHECK(out.starts_with(kSmall.substr(0, 5)));
}
