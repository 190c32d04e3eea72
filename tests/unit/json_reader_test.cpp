// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "json/reader.h"

using namespace fieldpipe;
using std::string_view_literals::operator""sv;

namespace {

// What finish() says about a text of which nothing was taken: "", or the message and where it points.
std::string check(std::string_view text) {
  json::Reader reader;
  reader.open(text);
  const auto walked = reader.finish();
  if (walked) return {};
  return walked.error().what + (walked.error().offset ? " @" + std::to_string(*walked.error().offset) : "");
}

// The same when every value was taken as it is written.
std::string check_texts(std::string_view text) {
  json::Reader reader;
  reader.open(text);
  reader.text();
  const auto walked = reader.finish();
  return walked ? "" : walked.error().what;
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("json reader walks members and elements in their order") {
  json::Reader reader;
  reader.open(R"( {"a": "x", "b": [1, -2 , 3], "skipped": {"b": [true]}, "\u0063": null, "d": true, "a": 2.5e1} )");
  std::string seen;
  reader.enter_object();
  while (reader.next_member()) {
    seen += reader.key();
    if (reader.key() == "b") {
      reader.enter_array();
      while (reader.next_element()) seen += fmt::format(":{}", reader.integer());
    } else if (reader.key() == "d") {
      seen += reader.boolean() ? "+" : "-";
    } else if (reader.type() == json::Type::kString) {
      seen += reader.string();
    } else if (reader.type() == json::Type::kNumber) {
      seen += std::to_string(reader.number());
    }
    seen += ' ';
  }
  REQUIRE(reader.finish());
  CHECK(seen == "ax b:1:-2:3 skipped c d+ a25.000000 ");
}

TEST_CASE("json reader gives values as they are written") {
  json::Reader reader;
  reader.open("{\"v\":[45.0,1e-09 ,\t18446744073709551616,\"\\u00e4\\/\",{ \"a\" : [ ] } , [\"]\"],false,null]}");
  std::vector<std::string> texts;
  reader.enter_object();
  REQUIRE(reader.next_member());
  reader.enter_array();
  while (reader.next_element()) texts.emplace_back(reader.text());
  REQUIRE(reader.finish());
  CHECK(texts == std::vector<std::string>{"45.0", "1e-09", "18446744073709551616", "\"\\u00e4\\/\"", "{ \"a\" : [ ] }",
                                          "[\"]\"]", "false", "null"});

  reader.open(" [1, 2] ");
  CHECK(reader.text() == "[1, 2]");
  CHECK(reader.finish());
}

TEST_CASE("json reader unescapes strings") {
  json::Reader reader;
  reader.open(R"(["\"\\\/\b\f\n\r\t","\u00e4\u2116\ud83d\ude00","plain \u0000"])");
  std::vector<std::string> strings;
  reader.enter_array();
  while (reader.next_element()) strings.emplace_back(reader.string());
  REQUIRE(reader.finish());
  CHECK(strings == std::vector<std::string>{"\"\\/\b\f\n\r\t", "ä№\U0001F600", std::string("plain \0", 7)});
}

TEST_CASE("json reader refuses what simdjson lets pass when a value is skipped") {
  for (const auto& [bad, what] : std::vector<std::pair<std::string_view, std::string_view>>{
           {"tru", "not JSON: 'tru'"},
           {"truee", "not JSON: 'truee'"},
           {"nul", "not JSON: 'nul'"},
           {"falsey", "not JSON: 'falsey'"},
           {"01", "not JSON: '01'"},
           {"-", "not JSON: '-'"},
           {"1.", "not JSON: '1.'"},
           {"01.e", "not JSON: '01.e'"},
           {"1e", "not JSON: '1e'"},
           {"1e+", "not JSON: '1e+'"},
           {"0x10", "not JSON: '0x10'"},
           {"1_000", "not JSON: '1_000'"},
           {"+1", "not JSON: no value where one must be"},
           {".5", "not JSON: no value where one must be"},
           {"NaN", "not JSON: no value where one must be"},
           {"Infinity", "not JSON: no value where one must be"},
           {"'a'", "not JSON: no value where one must be"},
           {"", "not JSON: no value where one must be"},
           {"]", "not JSON: no value where one must be"},
           {"\"\\x\"", "not JSON: bad escape in a string"},
           {"\"\\u12g4\"", "not JSON: bad escape in a string"},
           {"\"\\ud800\"", "not JSON: bad escape in a string"},
           {"\"\\udc00\"", "not JSON: bad escape in a string"},
           {"\"\\ud800\\u0041\"", "not JSON: bad escape in a string"},
           {"\"a\"b", "not JSON"},
           {"\"a\":1", "not JSON"},
           {"1:2", "not JSON"},
           {"1 2", "not JSON"},
           {"[1,]", "not JSON: no value where one must be"},
           {"[,1]", "not JSON: no value where one must be"},
           {"[1}", "not JSON"},
           {"{\"a\":1]", "not JSON"},
           {"{\"a\"}", "not JSON"},
           {"{\"a\"x:1}", "not JSON"},
           {"{\"a\" 1}", "not JSON"},
           {"{\"\\u12\":1}", "not JSON: bad escape in a string"},
           {"{a:1}", "not JSON"},
           {"{\"a\":1,}", "not JSON"},
           {"{1:2}", "not JSON"},
       }) {
    CAPTURE(bad);
    CHECK(check_texts(fmt::format("[{},0]", bad)) != "");
    json::Reader reader;
    const std::string text = fmt::format("{{\"skipped\":{},\"b\":0}}", bad);
    reader.open(text);
    const auto walked = reader.finish();
    REQUIRE_FALSE(walked);
    // Outside of a container a bracket or colon belongs to the object around it.
    if (bad != "]" && bad != "\"a\":1" && bad != "1:2") CHECK(walked.error().what == what);
  }
}

TEST_CASE("json reader says where it stopped") {
  CHECK(check(R"({"a":1})") == "");
  CHECK(check("") == "no JSON text");
  CHECK(check("  \n") == "no JSON text");
  CHECK(check("  5") == "JSON text must be an object or an array @2");
  CHECK(check(R"({"a":1} x)") == "JSON text without its end, or with more behind it @9");
  CHECK(check(R"({"a":1}})") == "more behind the end of the JSON text @7");
  CHECK(check("[1][2]") == "more behind the end of the JSON text @3");
  CHECK(check(R"({"a":tru})") == "not JSON: 'tru' @5");
  CHECK(check(R"([1 2])") == "not JSON @3");
  CHECK(check(R"({"a":[1,2})") == "not JSON @9");
  CHECK(check(R"({"a":1)") == "JSON text without its end, or with more behind it @6");
  CHECK(check(R"({"a":{})") == "JSON text without its end @7");
  CHECK(check("{\"a\":\"\xC3\"}") == "JSON text is not UTF-8 @6");
  CHECK(check("{\"a\":\"x\ny\"}") == "control character in a JSON string");
  CHECK(check("{\"a\":\"x") == "JSON string without an end");
  CHECK(check("{\"a\":1}\0"sv) == "JSON text without its end, or with more behind it @8");
}

TEST_CASE("json reader bounds the depth") {
  CHECK(check(nested(64)) == "");
  CHECK(check(nested(65)) == "JSON deeper than 64 levels @64");
  CHECK(check(nested(100'000)) == "JSON deeper than 64 levels @64");
  CHECK(check_texts(nested(65)) == "JSON deeper than 64 levels");
}

TEST_CASE("json reader names the key of a value of the wrong type") {
  const auto after = [](std::string_view text, auto take) {
    json::Reader reader;
    reader.open(text);
    reader.enter_object();
    while (reader.next_member()) take(reader);
    const auto walked = reader.finish();
    return walked ? "" : walked.error().what + " @" + std::to_string(walked.error().offset.value_or(999));
  };
  CHECK(after(R"({"qos":"1"})", [](auto& r) { r.integer(); }) == "qos: must be an integer, is a string @7");
  CHECK(after(R"({"qos":1.0})", [](auto& r) { r.integer(); }) == "qos: must be an integer of 64 bits, is 1.0 @7");
  CHECK(after(R"({"qos":9223372036854775808})", [](auto& r) { r.integer(); }) ==
        "qos: must be an integer of 64 bits, is 9223372036854775808 @7");
  CHECK(after(R"({"v":1e999})", [](auto& r) { r.number(); }) == "v: 1e999 is beyond the range of a double @5");
  CHECK(after(R"({"v":[]})", [](auto& r) { r.number(); }) == "v: must be a number, is an array @5");
  CHECK(after(R"({"v":0})", [](auto& r) { r.boolean(); }) == "v: must be true or false, is a number @5");
  CHECK(after(R"({"v":null})", [](auto& r) { r.string(); }) == "v: must be a string, is null @5");
  CHECK(after(R"({"v":false})", [](auto& r) { r.enter_object(); }) == "v: must be an object, is false @5");
  CHECK(after(R"({"v":{}})", [](auto& r) { r.enter_array(); }) == "v: must be an array, is an object @5");
  CHECK(after(R"({"a":1,"a":2})", [seen = false](auto& r) mutable { r.once(seen); }) == "a: key stands twice @11");
  CHECK(after(R"({"a":1,"b":tru})", [](auto& r) {
          if (r.key() == "a") r.refuse("no good");
        }) == "a: no good @5");
}

TEST_CASE("json reader reads the text where it stands when bytes behind it may be read") {
  json::Reader reader;
  for (const char filler : {'\0', ' ', '}', ']', '"', '1', ','}) {
    std::string room = "{\"a\":[1,2]}";
    const std::size_t size = room.size();
    room.append(json::kPaddingBytes, filler);
    reader.open({room.data(), size}, json::kPaddingBytes);
    reader.enter_object();
    REQUIRE(reader.next_member());
    CHECK(reader.key().data() == room.data() + 2);
    CHECK(reader.text() == "[1,2]");
    CHECK(reader.finish());
    // The same cut short: what stands behind must not complete it.
    for (std::size_t cut = 0; cut < size; ++cut) {
      std::string shorter = room.substr(0, cut) + std::string(json::kPaddingBytes, filler);
      reader.open({shorter.data(), cut}, json::kPaddingBytes);
      CHECK_FALSE(reader.finish());
    }
  }
}

TEST_CASE("json reader agrees with a tree parser about every cut and every changed byte") {
  constexpr std::string_view kText = R"({"a":[1,-2.5e3,"x\u00e4\\",true],"b":{"c":null,"d":[]},"e":false})";
  json::Reader reader;
  const auto compare = [&](const std::string& text) {
    CAPTURE(text);
    reader.open(text);
    const auto parsed = nlohmann::json::parse(text, nullptr, false);
    CHECK(reader.finish().has_value() == (!parsed.is_discarded() && parsed.is_structured()));
  };
  for (std::size_t i = 0; i <= kText.size(); ++i) compare(std::string(kText.substr(0, i)));
  for (std::size_t i = 0; i < kText.size(); ++i) {
    for (const char c : "{}[]:,\"\\0.e-tx \x01\xC3"sv) {
      std::string text(kText);
      text[i] = c;
      compare(text);
      text = kText;
      text.insert(i, 1, c);
      compare(text);
      text = kText;
      text.erase(i, 1);
      compare(text);
    }
  }
}

TEST_CASE("json reader tells whether a text is one value") {
  json::Reader reader;
  for (const std::string_view good : {"{}", "[1, 2]", "\"a\"", "\"\\n\"", "-1.5e+3", "0", "true", "false", "null"}) {
    CAPTURE(good);
    CHECK(reader.is_value(good));
  }
  for (const std::string_view bad :
       {"",    " 1",       "1 ",     "{} ", "1,2", "1],[2", "]",    "\"a\",\"b\"", "\"a\" \"b\"", "\"",
        "\"a", "\"\xFF\"", "\"\n\"", "hi",  "tru", "01",    "{}{}", "{",           "NaN",         "\"\\ud800\""}) {
    CAPTURE(bad);
    CHECK_FALSE(reader.is_value(bad));
  }
  CHECK(reader.is_value(nested(3), 3));
  CHECK_FALSE(reader.is_value(nested(4), 3));
  reader.open(nested(4));
  CHECK(reader.finish());
}
