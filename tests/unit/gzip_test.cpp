// SPDX-License-Identifier: MIT
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "gzip/compress.h"
#include "gzip/inflate.h"

namespace fieldpipe::gzip {
namespace {

// Bytes that compress, but not to nothing.
std::string sample(std::size_t size_bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < size_bytes; ++i) text += std::to_string(i * i % 1009) + ",";
  text.resize(size_bytes);
  return text;
}

std::string compressed(std::string_view text, int level = kDefaultLevel) {
  std::string out;
  REQUIRE(Compressor(level).compress(as_bytes(text), out));
  return out;
}

std::string inflated(std::string_view stream, std::size_t max_bytes = 1 << 20) {
  std::string out;
  const auto result = inflate(as_bytes(stream), max_bytes, out);
  REQUIRE_MESSAGE(result, (result ? "" : result.error().what));
  return out;
}

struct Refusal {
  std::string what;
  std::uint64_t offset;
  bool operator==(const Refusal&) const = default;
};

Refusal refused(std::string_view stream, std::size_t max_bytes = 1 << 20) {
  // A copy of its own, so that a sanitizer sees a read beyond the end.
  const std::vector<char> copy(stream.begin(), stream.end());
  std::string out = "before";
  const auto result = inflate(as_bytes({copy.data(), copy.size()}), max_bytes, out);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kBadData);
  REQUIRE(result.error().offset);
  CHECK(out == "before");
  return {result.error().what, *result.error().offset};
}

TEST_CASE("every level comes back, from nothing to a large message") {
  for (int level = kMinLevel; level <= kMaxLevel; ++level) {
    Compressor compressor(level);
    for (const std::size_t size : {0UL, 1UL, 4096UL, 4097UL, 100'000UL}) {
      std::string stream;
      REQUIRE(compressor.compress(as_bytes(sample(size)), stream));
      CHECK(inflated(stream) == sample(size));
    }
  }
}

TEST_CASE("equal input gives equal bytes, without time and name") {
  const std::string stream = compressed(sample(5000));
  CHECK(stream == compressed(sample(5000)));
  // RFC 1952: magic, deflate, no flags (so no name), time 0.
  CHECK(stream.starts_with(std::string("\x1f\x8b\x08\0\0\0\0\0", 8)));
}

TEST_CASE("a compressor appends, is reused and moved") {
  Compressor first(1);
  std::string out = "before";
  REQUIRE(first.compress(as_bytes("abc"), out));
  CHECK(out.substr(0, 6) == "before");
  CHECK(inflated(out.substr(6)) == "abc");
  Compressor second = std::move(first);
  std::string again = "before";
  REQUIRE(second.compress(as_bytes("abc"), again));
  CHECK(again == out);
}

TEST_CASE("levels beyond 1 to 9 are refused") {
  for (const int level : {0, 10}) {
    std::string out = "before";
    const auto result = Compressor(level).compress(as_bytes("abc"), out);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kBug);
    CHECK(result.error().what == "compression level " + std::to_string(level) + ", must be 1 to 9");
    CHECK(out == "before");
  }
}

TEST_CASE("inflating appends") {
  std::string out = "before";
  REQUIRE(inflate(as_bytes(compressed("abc")), 3, out));
  CHECK(out == "beforeabc");
}

TEST_CASE("the output limit is exact") {
  for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 8192UL, 70'000UL}) {
    CAPTURE(size);
    const std::string stream = compressed(sample(size));
    CHECK(inflated(stream, size) == sample(size));
    if (size > 0) CHECK(refused(stream, size - 1).what.starts_with("gzip stream holds more than the limit of "));
  }
  CHECK(refused(compressed(sample(2000)), 1024).what == "gzip stream holds more than the limit of 1KiB");
}

TEST_CASE("a bomb costs no more than the limit") {
  const std::string bomb = compressed(std::string(std::size_t{32} << 20U, '\0'));
  CHECK(bomb.size() < 64 * 1024);
  std::string out;
  REQUIRE_FALSE(inflate(as_bytes(bomb), 1 << 16, out));
  CHECK(out.capacity() <= 2 * (1 << 16));
}

TEST_CASE("a stream cut at any byte is refused where it ends") {
  const std::string stream = compressed(sample(300));
  for (std::size_t length = 0; length < stream.size(); ++length) {
    CAPTURE(length);
    CHECK(refused(stream.substr(0, length)) ==
          Refusal{"gzip stream is cut after " + std::to_string(length) + " bytes", length});
  }
}

TEST_CASE("bytes after the stream are refused, also a second member") {
  const std::string stream = compressed("abc");
  CHECK(refused(stream + "x") == Refusal{"1 bytes after the gzip stream", stream.size()});
  CHECK(refused(stream + stream) ==
        Refusal{std::to_string(stream.size()) + " bytes after the gzip stream", stream.size()});
}

TEST_CASE("damage is refused: no changed byte passes for another text") {
  const std::string text = sample(300);
  const std::string stream = compressed(text);
  for (std::size_t at = 0; at < stream.size(); ++at) {
    std::string changed = stream;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    std::string out;
    // Only the text flag, time, extra flags and system of the header are not checked: they say nothing of the data.
    const bool unchecked = at >= 3 && at <= 9;
    const bool passes = inflate(as_bytes(changed), 1 << 20, out).has_value();
    CAPTURE(at);
    CHECK(passes == unchecked);
    if (passes) CHECK(out == text);
  }
  std::string changed = stream;
  changed[stream.size() - 8] = static_cast<char>(changed[stream.size() - 8] ^ 1);
  CHECK(refused(changed).what == "damaged gzip stream: incorrect data check");
  changed = stream;
  changed[stream.size() - 4] = static_cast<char>(changed[stream.size() - 4] ^ 1);
  CHECK(refused(changed).what == "damaged gzip stream: incorrect length check");
  CHECK(refused("not gzip at all").what == "damaged gzip stream: incorrect header check");
  // A zlib stream (RFC 1950) of nothing.
  CHECK(refused("\x78\x9c\x03\x00\x00\x00\x00\x01").what == "damaged gzip stream: incorrect header check");
}

}  // namespace
}  // namespace fieldpipe::gzip
