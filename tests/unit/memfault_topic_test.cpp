// SPDX-License-Identifier: MIT
#include <optional>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "memfault/topic.h"
#include "memfault_vectors.h"

namespace fieldpipe::memfault {
namespace {

TopicTemplate parsed(std::string_view text) {
  auto result = TopicTemplate::parse(text);
  REQUIRE_MESSAGE(result, (result ? "" : result.error().what));
  return *std::move(result);
}

std::string refused(std::string_view text) {
  const auto result = TopicTemplate::parse(text);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kUsage);
  return result.error().what;
}

// The template that says what the filter of a vector leaves open.
std::string_view template_of(std::string_view filter) {
  if (filter == "memfault/+/+/chunks") return "memfault/+/{device}/chunks";
  if (filter == "+/memfault/#") return "{device}/memfault/{key}/#";
  if (filter == "memfault/+/chunks") return "memfault/{device}/chunks";
  return filter;
}

TEST_CASE("the recorded topics") {
  for (const auto& vector : read_vectors("mqtt_topics.json")) {
    const std::string topic = vector["topic"];
    CAPTURE(topic);
    const auto match = parsed(template_of(vector["filter"].get<std::string>())).match(topic);
    REQUIRE(match.has_value() == vector["matches_mqtt"].get<bool>());
    if (!match) continue;
    CHECK(match->device == vector["device"].get<std::string>());
    CHECK(match->project_key.has_value() == !vector["key"].is_null());
    if (match->project_key) CHECK(*match->project_key == vector["key"].get<std::string>());
  }
}

TEST_CASE("filters") {
  CHECK(parsed(kDefaultTopic).filter() == "prod/+/+/memfault/+/chunk");
  CHECK(parsed("prod/+/+/memfault/#").filter() == "prod/+/+/memfault/#");
  CHECK(parsed("{device}").filter() == "+");
  CHECK(parsed("/{device}/").filter() == "/+/");
  CHECK(parsed("a/{device}/#").filter() == "a/+/#");
}

TEST_CASE("matches beside the recorded ones") {
  const TopicTemplate topics = parsed(kDefaultTopic);
  CHECK(topics.match("prod/b/d/memfault/k/chunk")->project_key == "k");
  CHECK_FALSE(topics.match("prod/b/d/memfault/k"));
  CHECK_FALSE(topics.match("prod/b/d/memfault/k/log"));
  CHECK_FALSE(topics.match("prod/b/d/memfault/k/chunk/x"));
  CHECK_FALSE(topics.match("prod/b/d/memfault/k/chunk/"));
  CHECK_FALSE(topics.match(""));
  CHECK(parsed("{device}").match("")->device.empty());
  CHECK_FALSE(parsed("{device}/#").match("$SYS/x"));
  CHECK(parsed("$aws/{device}").match("$aws/d")->device == "d");
  CHECK(parsed("a/{device}/#").match("a/d")->device == "d");
  CHECK_FALSE(parsed("a/{device}/#").match("a"));
}

TEST_CASE("templates that are refused") {
  CHECK(refused("") == "topic template '' is empty");
  CHECK(refused("a/b") == "topic template 'a/b' has no level {device}");
  CHECK(refused("prod/+/+/memfault/+") == "topic template 'prod/+/+/memfault/+' has no level {device}");
  CHECK(refused("a/+/{key}") == "topic template 'a/+/{key}' has no level {device}");
  CHECK(refused("{device}/{device}") == "topic template '{device}/{device}' has {device} twice");
  CHECK(refused("{device}/{key}/{key}") == "topic template '{device}/{key}/{key}' has {key} twice");
  CHECK(refused("#/{device}") == "topic template '#/{device}' has a # that is not the last level");
  CHECK(refused("x-{device}") ==
        "topic template 'x-{device}' has 'x-{device}', and a wildcard or name is a whole level: + # {device} {key}");
  CHECK(refused("{device}/{name}") ==
        "topic template '{device}/{name}' has '{name}', and a wildcard or name is a whole level: + # {device} {key}");
  CHECK(refused("{device}/a+") ==
        "topic template '{device}/a+' has 'a+', and a wildcard or name is a whole level: + # {device} {key}");
  CHECK(refused("$share/g/{device}") ==
        "topic template '$share/g/{device}' is a shared subscription, which breaks the order of chunks");
  CHECK(refused(std::string_view("{device}/\0", 10)) == "topic template '{device}/\\x00' is no MQTT text");
  CHECK(refused("{device}/\xFF") == "topic template '{device}/\\xff' is no MQTT text");
  CHECK(refused(std::string(65'536, 'x')) == "topic template of 65536 bytes, the limit is 65535");
}

}  // namespace
}  // namespace fieldpipe::memfault
