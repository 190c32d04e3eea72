// SPDX-License-Identifier: MIT
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "toml/document.h"

using namespace fieldpipe;

using Values = std::vector<std::vector<std::string>>;

TEST_CASE("settings come in the order of the file, as the text an option would be given") {
  const auto settings = toml::parse_settings(
      "# comment\n"
      "topic = \"flexconnect/bin\"\n"
      "qos = 1\n"
      "ratio = 0.5\n"
      "\n"
      "retain = true\n"
      "tag = [\"site=A\", \"unit=7\"]\n"
      "will = [[\"gone\", \"1\"], [\"back\"]]\n"
      "quiet = false\n"
      "level = -3\n"
      "none = []\n"
      "name = \"ger\xC3\xA4t\"  # ger\xC3\xA4t\n");
  REQUIRE(settings);
  const std::vector<std::pair<std::string, Values>> expected{{"topic", {{"flexconnect/bin"}}},
                                                             {"qos", {{"1"}}},
                                                             {"ratio", {{"0.5"}}},
                                                             {"retain", {{"true"}}},
                                                             {"tag", {{"site=A"}, {"unit=7"}}},
                                                             {"will", {{"gone", "1"}, {"back"}}},
                                                             {"quiet", {{"false"}}},
                                                             {"level", {{"-3"}}},
                                                             {"none", {}},
                                                             {"name", {{"ger\xC3\xA4t"}}}};
  REQUIRE(settings->size() == expected.size());
  const std::array<unsigned, 10> lines{2, 3, 4, 6, 7, 8, 9, 10, 11, 12};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK((*settings)[i].key == expected[i].first);
    CHECK((*settings)[i].values == expected[i].second);
    CHECK((*settings)[i].line == lines[i]);
  }
  CHECK(toml::parse_settings("")->empty());
}

TEST_CASE("what is no setting is refused with its line") {
  const auto refusal = [](std::string_view text) {
    const auto settings = toml::parse_settings(text);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().code == ErrorCode::kConfig);
    return settings.error().what;
  };
  constexpr auto kNot = ": must be a string, a number, true or false";
  CHECK(refusal("a = 1\n[table]\nb = 2\n") == std::string("line 2: table") + kNot);
  CHECK(refusal("when = 2024-01-01\n") == std::string("line 1: when") + kNot);
  CHECK(refusal("\n\na = [{b = 1}]\n") == std::string("line 3: a") + kNot);
  CHECK(refusal("a = [[[1]]]\n") == std::string("line 1: a") + kNot);
  CHECK(refusal("\na = \n").starts_with("line 2: "));
  CHECK(refusal("a = 1\na = 2\n").starts_with("line 2: "));
  CHECK(refusal("a = \"\xFF\"\n").starts_with("line 1: "));
  CHECK(refusal("\xC3\xA9 = 1\n").starts_with("line 1: "));  // toml++ 3.3 by itself: undefined behaviour
  CHECK(refusal("a\xEF\xBB\xBD = 1\n").starts_with("line 1: "));
  CHECK(refusal("a = [\xC3\xA9]\n").starts_with("line 1: "));
  CHECK(refusal(std::string((1U << 20U) + 1, '#')) == "1048577 bytes, the limit is 1MiB");
  CHECK(toml::parse_settings(std::string(1U << 20U, '#')));
}

TEST_CASE("a document is a tree in the order of the file") {
  const auto document = toml::parse_document(
      "zeta = 1\n"
      "alpha = \"x\"\n"
      "[b.c]\n"
      "actions = [{ name = \"reboot\", timeout = 5 }, { name = \"stop\" }]\n"
      "when = 2024-01-01\n"
      "[a]\n"
      "on = true\n");
  REQUIRE(document);
  REQUIRE(document->type == toml::Type::kTable);
  REQUIRE(document->members.size() == 4);
  CHECK(document->members[0].key == "zeta");
  CHECK(document->members[0].value.text == "1");
  CHECK(document->members[1].key == "alpha");
  CHECK(document->members[2].key == "b");
  CHECK(document->members[3].key == "a");
  CHECK(document->members[3].value.line == 6);
  const toml::Value& inner = document->members[2].value.members.at(0).value;
  REQUIRE(inner.members.size() == 2);
  const toml::Value& actions = inner.members[0].value;
  CHECK(actions.line == 4);
  REQUIRE(actions.elements.size() == 2);
  CHECK(actions.elements[0].members[1].key == "timeout");
  CHECK(actions.elements[0].members[1].value.text == "5");
  CHECK(inner.members[1].value.type == toml::Type::kTime);
  CHECK(toml::print_type(inner.members[1].value.type) == "a date or time");
}

TEST_CASE("depth is limited") {
  const auto nested = [](std::size_t arrays) {
    return "a = " + std::string(arrays, '[') + std::string(arrays, ']') + "\n";
  };
  CHECK(toml::parse_document(nested(toml::kMaxDepth - 1)));
  const auto deeper = toml::parse_document(nested(toml::kMaxDepth));
  REQUIRE_FALSE(deeper);
  CHECK(deeper.error().code == ErrorCode::kConfig);
  CHECK(deeper.error().what == "line 1: deeper than 16 levels");
}

TEST_CASE("a key of very many parts is refused before it costs the stack") {
  std::string parts;
  for (int i = 0; i < 200000; ++i) parts += "a.";
  for (const std::string& text :
       {parts + "a = 1\n", "x = 1\n[" + parts + "a]\n", "x = { y.\"" + parts + "\"." + parts + "a = 1 }\n"}) {
    const auto settings = toml::parse_settings(text);
    REQUIRE_FALSE(settings);
    CHECK(settings.error().code == ErrorCode::kConfig);
    CHECK(settings.error().what.ends_with(": a key of more than 32 parts"));
  }
  const std::string dots(1000, '.');
  const std::string quoted = "a = \"" + dots + "\\\"" + dots + "\"  # " + dots + "\nb = '" + dots + "'\n";
  const std::string blocks = "c = '''\n" + dots + "\n'''\nd = \"\"\"" + dots + "\"\"\"\ne = [1.5, 2.5]\n";
  CHECK(toml::parse_document(quoted + blocks));
}
