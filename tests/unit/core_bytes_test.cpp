// SPDX-License-Identifier: MIT
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "core/bytes.h"

using namespace fieldpipe;
using std::string_view_literals::operator""sv;

namespace {

std::string base64_of(std::string_view text) {
  std::string out;
  append_base64(out, as_bytes(text));
  return out;
}

struct Refusal {
  std::string what;
  std::uint64_t offset;
};

template <typename Decode>
Refusal refused(Decode decode, std::string_view text, std::string& out) {
  const Result<void> done = decode(text, out);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == ErrorCode::kBadData);
  return {done.error().what, done.error().offset.value()};
}

}  // namespace

TEST_CASE("integers are loaded and stored in either byte order") {
  std::array<std::byte, 8> bytes{};
  store_be<std::uint32_t>(0x01020304, bytes.data());
  CHECK(as_text(bytes).substr(0, 4) == "\1\2\3\4"sv);
  CHECK(load_be<std::uint32_t>(bytes.data()) == 0x01020304);
  CHECK(load_le<std::uint32_t>(bytes.data()) == 0x04030201);
  store_le<std::uint64_t>(0xFEDCBA9876543210, bytes.data());
  CHECK(load_le<std::uint64_t>(bytes.data()) == 0xFEDCBA9876543210);
  CHECK(load_be<std::uint64_t>(bytes.data()) == 0x1032547698BADCFE);
  store_le<std::uint16_t>(0xFFFE, bytes.data());
  CHECK(load_be<std::uint16_t>(bytes.data()) == 0xFEFF);
  CHECK(load_le<std::uint8_t>(bytes.data()) == 0xFE);
}

TEST_CASE("hex goes both ways, in either case") {
  std::string out = "=";
  append_hex(out, as_bytes("\x00\x9A\xFF"sv));
  CHECK(out == "=009aff");
  append_hex(out, as_bytes("\xAB"sv), kUpperHex);
  CHECK(out == "=009affAB");
  std::string decoded = "=";
  CHECK(decode_hex("009aFfaB", decoded));
  CHECK(decoded == "=\x00\x9A\xFF\xAB"sv);
  CHECK(decode_hex("", decoded));
  CHECK(decoded.size() == 5);
}

TEST_CASE("hex refuses what is not two digits a byte and keeps what was good") {
  std::string out;
  const auto odd = refused(decode_hex, "00112", out);
  CHECK(odd.what == "odd number of hex digits: 5");
  CHECK(odd.offset == 4);
  CHECK(out == "\x00\x11"sv);
  for (const auto& [text, offset] :
       {std::pair{"g0"sv, 0U}, {"0g"sv, 1U}, {"00 1"sv, 2U}, {"0x"sv, 1U}, {"00\xFF\xFF"sv, 2U}}) {
    out.clear();
    const auto refusal = refused(decode_hex, text, out);
    CHECK(refusal.what == "not a hex digit");
    CHECK(refusal.offset == offset);
    CHECK(out.size() == offset / 2);
  }
}

TEST_CASE("base64 is that of RFC 4648 section 10") {
  const std::array<std::pair<std::string_view, std::string_view>, 8> examples{{{"", ""},
                                                                               {"f", "Zg=="},
                                                                               {"fo", "Zm8="},
                                                                               {"foo", "Zm9v"},
                                                                               {"foob", "Zm9vYg=="},
                                                                               {"fooba", "Zm9vYmE="},
                                                                               {"foobar", "Zm9vYmFy"},
                                                                               {"\xFB\xEF\xFF", "++//"}}};
  for (const auto& [plain, encoded] : examples) {
    CHECK(base64_of(plain) == encoded);
    std::string out = "=";
    CHECK(decode_base64(encoded, out));
    CHECK(out == std::string("=") + std::string(plain));
  }
}

TEST_CASE("base64 of every byte and length comes back") {
  std::string plain;
  for (unsigned i = 0; i < 300; ++i) {
    std::string out;
    REQUIRE(decode_base64(base64_of(plain), out));
    REQUIRE(out == plain);
    plain.push_back(static_cast<char>(i));
  }
}

TEST_CASE("base64 has one text for one value") {
  std::string out = "kept";
  const std::array<std::pair<std::string_view, Refusal>, 9> bad{{
      {"Zg", {"base64 of 2 characters, must be a multiple of 4", 2}},
      {"Zm9vY", {"base64 of 5 characters, must be a multiple of 4", 5}},
      {"Zm 9", {"not a base64 character", 2}},
      {"Zm9\n", {"not a base64 character", 3}},
      {"-_-_", {"not a base64 character", 0}},
      {"Z===", {"not a base64 character", 1}},
      {"Zg==Zg==", {"not a base64 character", 2}},
      {"Zh==", {"base64 with bits left over", 1}},
      {"Zm9=", {"base64 with bits left over", 2}},
  }};
  for (const auto& [text, expected] : bad) {
    CAPTURE(text);
    const auto refusal = refused(decode_base64, text, out);
    CHECK(refusal.what == expected.what);
    CHECK(refusal.offset == expected.offset);
    CHECK(out == "kept");
  }
}
