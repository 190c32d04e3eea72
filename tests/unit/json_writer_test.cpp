// SPDX-License-Identifier: MIT
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "json/writer.h"

using namespace fieldpipe;
using std::string_view_literals::operator""sv;

namespace {

std::string string_of(std::string_view text) {
  std::string out = ">";
  json::append_string(out, text);
  return out.substr(1);
}

std::string double_of(double value) {
  std::string out;
  json::append_double(out, value);
  return out;
}

template <typename T>
std::string integer_of(T value) {
  std::string out;
  json::append_integer(out, value);
  return out;
}

}  // namespace

TEST_CASE("json strings keep UTF-8 and escape what must be") {
  CHECK(string_of("") == "\"\"");
  CHECK(string_of("temperature") == "\"temperature\"");
  CHECK(string_of("gerät № 1 / \U0001F600 \x7F") == "\"gerät № 1 / \U0001F600 \x7F\"");
  CHECK(string_of("a\"b\\c") == R"("a\"b\\c")");
  CHECK(string_of("\b\f\n\r\t") == R"("\b\f\n\r\t")");
  CHECK(string_of("\0\x01\x1f"sv) == R"("\u0000\u0001\u001f")");
  CHECK(string_of("\n") == R"("\n")");
}

TEST_CASE("json strings replace what is not UTF-8, byte by byte") {
  CHECK(string_of("\xFF") == "\"\uFFFD\"");
  CHECK(string_of("a\xC3") == "\"a\uFFFD\"");
  CHECK(string_of("\xED\xA0\x80z") == "\"\uFFFD\uFFFD\uFFFDz\"");
  CHECK(string_of("\"\xC0\x80\"") == "\"\\\"\uFFFD\uFFFD\\\"\"");
}

TEST_CASE("json integers have all their digits") {
  CHECK(integer_of(0) == "0");
  CHECK(integer_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(integer_of(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(integer_of(std::uint8_t{7}) == "7");
}

TEST_CASE("json doubles are the shortest that read back") {
  CHECK(double_of(22.5) == "22.5");
  CHECK(double_of(45.0) == "45");
  CHECK(double_of(-0.0) == "-0");
  CHECK(double_of(0.1) == "0.1");
  CHECK(double_of(0.1 + 0.2) == "0.30000000000000004");
  CHECK(double_of(1e-9) == "1e-09");
  CHECK(double_of(1e300) == "1e+300");
  CHECK(double_of(-std::numeric_limits<double>::min()) == "-2.2250738585072014e-308");
}

TEST_CASE("json booleans") {
  std::string out;
  json::append_bool(out, true);
  json::append_bool(out, false);
  CHECK(out == "truefalse");
}
