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
