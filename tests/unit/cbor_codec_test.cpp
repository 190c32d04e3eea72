// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "cbor/codec.h"
#include "cbor/json.h"

namespace fieldpipe::cbor {
namespace {

std::string from_hex(std::string_view hex) {
  std::string bytes;
  REQUIRE(decode_hex(hex, bytes));
  return bytes;
}

std::string to_hex(const Value& value) {
  std::string bytes;
  encode(bytes, value);
  std::string hex;
  append_hex(hex, as_bytes(bytes));
  return hex;
}

Value decoded(std::string_view hex, const Limits& limits = {}) {
  const std::string bytes = from_hex(hex);
  auto value = decode(as_bytes(bytes), limits);
  REQUIRE_MESSAGE(value, (value ? "" : value.error().what));
  return *std::move(value);
}

std::string json_of(std::string_view hex) {
  std::string out;
  append_json(out, decoded(hex));
  return out;
}

// The refusal and its offset.
std::string refused(std::string_view hex, const Limits& limits = {}) {
  const std::string bytes = from_hex(hex);
  // A copy of its own, so that a sanitizer sees a read beyond the end.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const auto value = decode(as_bytes({copy.data(), copy.size()}), limits);
  REQUIRE_FALSE(value);
  CHECK(value.error().code == ErrorCode::kBadData);
  REQUIRE(value.error().offset);
  return value.error().what + " @" + std::to_string(*value.error().offset);
}

TEST_CASE("the shortest definite encodings of RFC 8949 appendix A, both ways") {
  const std::vector<std::pair<std::string_view, Value>> items = {
      {"00", 0},
      {"17", 23},
      {"1818", 24},
      {"1903e8", 1000},
      {"1a000f4240", 1'000'000},
      {"1bffffffffffffffff", std::numeric_limits<std::uint64_t>::max()},
      {"20", -1},
      {"3863", -100},
      {"3903e7", -1000},
      {"3b7fffffffffffffff", std::numeric_limits<std::int64_t>::min()},
      {"fb3ff199999999999a", 1.1},
      {"fb7ff0000000000000", std::numeric_limits<double>::infinity()},
      {"f4", false},
      {"f5", true},
      {"f6", nullptr},
      {"f7", Undefined{}},
      {"40", ByteString{}},
      {"4401020304", ByteString{"\x01\x02\x03\x04"}},
      {"60", ""},
      {"6449455446", "IETF"},
      {"62c3bc", "\xC3\xBC"},
      {"80", Value::Array{}},
      {"8301820203820405", Value::Array{1, Value::Array{2, 3}, Value::Array{4, 5}}},
      {"a0", Value::Map{}},
      {"a201020304", Value::Map{{1, 2}, {3, 4}}},
      {"a26161016162820203", Value::Map{{"a", 1}, {"b", Value::Array{2, 3}}}},
  };
  for (const auto& [hex, value] : items) {
    CAPTURE(hex);
    CHECK(decoded(hex) == value);
    CHECK(to_hex(value) == hex);
  }
}

TEST_CASE("other encodings of the same values") {
  CHECK(decoded("1800") == Value(0));
  CHECK(decoded("1b0000000000000001") == Value(1));
  CHECK(decoded("f93c00") == Value(1.0));
  CHECK(decoded("fa47c35000") == Value(100000.0));
  CHECK(decoded("9f018202039f0405ffff") == decoded("8301820203820405"));
  CHECK(decoded("bf61610161629f0203ffff") == decoded("a26161016162820203"));
  CHECK(decoded("5f42010243030405ff") == Value(ByteString{"\x01\x02\x03\x04\x05"}));
  CHECK(decoded("7f657374726561646d696e67ff") == Value("streaming"));
  CHECK(decoded("bf7f6161ff01ff") == decoded("a1616101"));
  CHECK(decoded("c11a514b67b0") == Value(1363896240));
  CHECK(decoded("d818d81900") == Value(0));
}

TEST_CASE("members and types") {
  const Value value = decoded("a4616101026362797402f4035f41ffff");
  REQUIRE(value.find("a") != nullptr);
  CHECK(value.find("a")->unsigned_integer() == 1U);
  CHECK(value.find("a")->signed_integer() == 1);
  CHECK(value.find("a")->text() == nullptr);
  CHECK(*value.find(2)->text() == "byt");
  CHECK(value.find("b") == nullptr);
  CHECK(value.find(4) == nullptr);
  CHECK(Value(1).find("a") == nullptr);
  CHECK(Value(std::numeric_limits<std::uint64_t>::max()).signed_integer() == std::nullopt);
  CHECK(Value(-1).unsigned_integer() == std::nullopt);
}

TEST_CASE("what is refused, and where") {
  CHECK(refused("") == "CBOR ends in the middle of an item @0");
  CHECK(refused("0001") == "1 bytes behind the CBOR item @1");
  CHECK(refused("1c") == "byte 0x1c does not begin a CBOR item @0");
  CHECK(refused("81ff") == "a break where no array or map can end @1");
  CHECK(refused("bf01ff") == "a break where no array or map can end @2");
  CHECK(refused("ff") == "a break where no array or map can end @0");
  CHECK(refused("9fc1ff") == "a break where no array or map can end @2");
  CHECK(refused("3bffffffffffffffff") == "an integer below -2^63 @0");
  CHECK(refused("5f6161ff") == "a piece of an indefinite string is no string of its type @1");
  CHECK(refused("5f01ff") == "a piece of an indefinite string is no string of its type @1");
  CHECK(refused("5f5fffff") == "a piece of an indefinite string is no string of its type @1");
  CHECK(refused("a1f600") == "a map key is neither an integer nor a text @1");
  CHECK(refused("a1410000") == "a map key is neither an integer nor a text @1");
  CHECK(refused("f8ff") == "byte 0xf8 does not begin a CBOR item @0");
  // Lengths that are only claimed.
  CHECK(refused("9a0fffffff") == "CBOR ends in the middle of an item @5");
  CHECK(refused("9bffffffffffffffff") == "CBOR ends in the middle of an item @9");
  CHECK(refused("9bffffffffffffffffff") == "a break where no array or map can end @9");
  CHECK(refused("bbffffffffffffffff0001") == "CBOR ends in the middle of an item @11");
  CHECK(refused("5bffffffffffffffff00") == "CBOR ends in the middle of an item @0");
  CHECK(refused("7affffffff00") == "CBOR ends in the middle of an item @0");
}

TEST_CASE("limits") {
  std::string hex(16 * 2, '8');
  for (std::size_t i = 1; i < hex.size(); i += 2) hex[i] = '1';
  CHECK_NOTHROW(decoded(hex + "00"));
  CHECK(refused("81" + hex + "00") == "CBOR nested deeper than the limit of 16 @16");
  CHECK_NOTHROW(decoded("820102", {.depth = 1, .items = 3}));
  CHECK(refused("820102", {.depth = 1, .items = 2}) == "more CBOR items than the limit of 2 @2");
  CHECK(refused("5f40404040", {.depth = 1, .items = 3}) == "more CBOR items than the limit of 3 @3");
  CHECK(refused("c1c1c1c100", {.depth = 1, .items = 3}) == "more CBOR items than the limit of 3 @3");
}

TEST_CASE("cut at every byte: refused by decode, what is whole by decode_prefix") {
  const std::string bytes = from_hex("bf6161830120fb3ff199999999999a61625f4201024103ff6163a10161ffff");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Bytes view = as_bytes({cut.data(), cut.size()});
    CAPTURE(size);
    CHECK_FALSE(decode(view));
    const auto prefix = decode_prefix(view);
    REQUIRE(prefix);
    CHECK_FALSE(prefix->complete);
  }
  // An array that announces more than follows keeps what there is.
  const auto prefix = decode_prefix(as_bytes(from_hex("a20101049a000000090102036161")));
  REQUIRE(prefix);
  CHECK_FALSE(prefix->complete);
  CHECK(prefix->used_bytes == 14);
  CHECK(prefix->value == Value(Value::Map{{1, 1}, {4, Value::Array{1, 2, 3, "a"}}}));
}

TEST_CASE("as JSON") {
  CHECK(json_of("a50161610262c3bc03420aff04f6616180") == R"({"1":"a","2":"ü","3":{"$bytes":"0aff"},"4":null,"a":[]})");
  CHECK(json_of("87fb3ff8000000000000f97e00f7f5a0203b7fffffffffffffff") ==
        R"([1.5,null,null,true,{},-1,-9223372036854775808])");
  CHECK(json_of("61ff") == "\"\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace fieldpipe::cbor
