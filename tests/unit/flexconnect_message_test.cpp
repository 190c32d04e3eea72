// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "flexconnect/message.h"
#include "flexconnect_vectors.h"

namespace fieldpipe::flexconnect {
namespace {

std::string gzip_of(std::string_view text) {
  gzip::Compressor compressor;
  std::string out;
  REQUIRE(compressor.compress(as_bytes(text), out));
  return out;
}

// The compressed form of a binary message.
std::string fc_of(std::string_view text) {
  std::string out = "\xFC";
  return out.append(gzip_of(text));
}

std::string b64_of(std::string_view text) {
  gzip::Compressor compressor;
  std::string out;
  REQUIRE(compress_json(compressor, text, out));
  return out;
}

// "json: body" or "binary: hex", with a star when it was compressed; or the reason why not.
std::string unwrap(std::string_view wire, std::size_t max_inflated_bytes = kDefaultMaxInflatedBytes) {
  Unwrapper unwrapper(max_inflated_bytes);
  const auto message = unwrapper.unwrap(as_bytes(wire));
  if (!message) return message.error().what;
  const std::string_view star = message->compressed ? "*" : "";
  if (message->form == Form::kJson) return fmt::format("json{}: {}", star, as_text(message->body));
  return fmt::format("binary{}: {}", star, to_hex(message->body));
}

constexpr std::string_view kBinary{"\0\0\0\1t", 5};

}  // namespace

TEST_CASE("the form of a message is told by its first bytes") {
  CHECK(unwrap(kBinary) == "binary: 0000000174");
  CHECK(unwrap(fc_of(kBinary)) == "binary*: 0000000174");
  CHECK(unwrap(gzip_of(kBinary)) == "binary*: 0000000174");
  CHECK(unwrap(R"({"points":[]})") == R"(json: {"points":[]})");
  CHECK(unwrap(" \t\r\n{}") == "json:  \t\r\n{}");
  CHECK(unwrap("\xEF\xBB\xBF{}") == "json: {}");
  CHECK(unwrap(gzip_of("\xEF\xBB\xBF{}")) == "json*: {}");
  CHECK(unwrap(b64_of("{}")) == "json*: {}");
  CHECK(unwrap(fmt::format("\xEF\xBB\xBF \n{{ \"b64\" : {}", b64_of("{}").substr(7))) == "json*: {}");
  CHECK(unwrap(b64_of(kBinary)) == "binary*: 0000000174");
  CHECK(unwrap("hello") == "neither a binary message nor JSON: 'hello'");
  // The decoder of binary messages says what is wrong.
  CHECK(unwrap("\x05\x01") == "binary: 0501");
}

TEST_CASE("compression that is refused") {
  CHECK(unwrap("") == "empty message");
  CHECK(unwrap("\xFC") == "gzip stream is cut after 0 bytes");
  CHECK(unwrap(gzip_of("")) == "empty message inside the compression");
  CHECK(unwrap(fc_of(fc_of(kBinary))) == "message is compressed twice");
  CHECK(unwrap(fc_of(gzip_of(kBinary))) == "message is compressed twice");
  CHECK(unwrap(gzip_of(b64_of("{}"))) == "message is compressed twice");
  CHECK(unwrap(b64_of(b64_of("{}"))) == "b64: message is compressed twice");
  CHECK(unwrap(R"({"b64":""})") == "b64: empty message");
  CHECK(unwrap(R"({"b64":"****"})") == "b64: not a base64 character");
  CHECK(unwrap(R"({"b64":"aGVsbG8="})").starts_with("b64: damaged gzip stream"));
  CHECK(unwrap(R"({"b64":1})") == "b64: must be a string, is a number");
  CHECK(unwrap(R"({"b64":"aGVsbG8=","token":"t"})") == "token: b64 must be the only key of a message");
  CHECK(unwrap(R"({"b64":"aGVsbG8=","b64":"aGVsbG8="})") == "b64: b64 must be the only key of a message");
  CHECK(unwrap(b64_of("{}") + "x") == "JSON text without its end, or with more behind it");
}

TEST_CASE("what comes out of compression is bounded") {
  const std::string zeros(1'000'000, '\0');
  CHECK(unwrap(fc_of(zeros), 1'000'000).starts_with("binary*: 0000"));
  CHECK(unwrap(fc_of(zeros), 999'999) == "gzip stream holds more than the limit of 999999B");
  CHECK(unwrap(b64_of(zeros), 999'999) == "b64: gzip stream holds more than the limit of 999999B");
}

TEST_CASE("compressed messages come back and have the right marks") {
  gzip::Compressor compressor;
  std::string out = ">";
  REQUIRE(compress_binary(compressor, as_bytes(kBinary), out));
  CHECK(to_hex(as_bytes(out)).substr(2, 6) == "fc1f8b");
  CHECK(unwrap(out.substr(1)) == "binary*: 0000000174");
  std::string json = ">";
  REQUIRE(compress_json(compressor, "{\"points\":[]}", json));
  CHECK(json.starts_with(">{\"b64\":\"H4sI"));
  CHECK(json.ends_with("\"}"));
}

TEST_CASE("a compressed message cut at any byte is refused") {
  for (const std::string& wire : {fc_of("{\"points\":[]}"), b64_of("{\"points\":[]}")}) {
    for (std::size_t size = 0; size < wire.size(); ++size) {
      const std::string result = unwrap(std::string_view(wire).substr(0, size));
      // Before the key is there in full, it looks like a plain message, which the decoder refuses.
      if (size > 0 && wire.front() == '{' && size < 6) {
        CHECK(result.starts_with("json: "));
      } else {
        CHECK(result.find(": {\"points\"") == std::string::npos);
        CHECK_FALSE(result.starts_with("json"));
        CHECK_FALSE(result.starts_with("binary"));
      }
    }
  }
}

}  // namespace fieldpipe::flexconnect
