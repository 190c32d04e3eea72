// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "cbor/json.h"

namespace fieldpipe::cbor {
namespace {

Value parsed(std::string_view text) {
  json::Reader reader;
  auto value = parse_json(reader, text);
  REQUIRE_MESSAGE(value, (value ? "" : value.error().what));
  return *std::move(value);
}

std::string refused(std::string_view text) {
  json::Reader reader;
  const auto value = parse_json(reader, text);
  REQUIRE_FALSE(value);
  CHECK(value.error().code == ErrorCode::kBadData);
  return value.error().what;
}

TEST_CASE("every type, and back") {
  constexpr std::string_view kText =
      R"({"a":[1,-2,18446744073709551615,1.5,true,false,null,"x\n"],"b":{"$bytes":"00ff"},"c":{},"d":[[]],"1":2})";
  const Value value = parsed(kText);
  CHECK(value == Value(Value::Map{{"a", Value::Array{1, -2, 18446744073709551615U, 1.5, true, false, nullptr, "x\n"}},
                                  {"b", ByteString{std::string("\0\xFF", 2)}},
                                  {"c", Value::Map{}},
                                  {"d", Value::Array{Value::Array{}}},
                                  {"1", 2}}));
  std::string out;
  append_json(out, value);
  CHECK(out == kText);
}

TEST_CASE("bytes stand alone in their object") {
  CHECK(parsed(R"({"$bytes":"00"})") == Value(ByteString{std::string(1, '\0')}));
  CHECK(parsed(R"({"$bytes":"00","n":1})") == Value(Value::Map{{"$bytes", "00"}, {"n", 1}}));
  CHECK(parsed(" [ 1 ] ") == Value(Value::Array{1}));
  CHECK(parsed("[1e2]") == Value(Value::Array{100.0}));
}

TEST_CASE("what is refused") {
  CHECK(refused(R"({"$bytes":"0"})") == "\"$bytes\" is not a string of hex digits, two a byte");
  CHECK(refused(R"({"a":{"$bytes":1}})") == "a: \"$bytes\" is not a string of hex digits, two a byte");
  CHECK(refused("[18446744073709551616]") == "a number beyond the range of 64 bits");
  CHECK(refused("[-9223372036854775809]") == "a number beyond the range of 64 bits");
  CHECK(refused("[1e400]") == "a number beyond the range of 64 bits");
  CHECK(refused(std::string(17, '[') + std::string(17, ']')) == "nested deeper than the limit of 16");
  CHECK_FALSE(refused("").empty());
  CHECK_FALSE(refused("1").empty());
  CHECK_FALSE(refused("[1] x").empty());
  constexpr std::string_view kWhole = R"({"a":[1,{"b":"c"}]})";
  for (std::size_t size = 0; size < kWhole.size(); ++size) CHECK_FALSE(refused(kWhole.substr(0, size)).empty());
}

}  // namespace
}  // namespace fieldpipe::cbor
