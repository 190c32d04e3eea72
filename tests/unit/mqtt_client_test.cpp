// SPDX-License-Identifier: MIT
// The parts of the client that need no broker.
#include <string>

#include <doctest/doctest.h>

#include "mqtt/client.h"

namespace fieldpipe::mqtt {
namespace {

TEST_CASE("topics are without wildcards, filters may have them in their places") {
  CHECK(check_topic("a/b").has_value());
  CHECK(check_topic(std::string(65535, 'a')).has_value());
  CHECK_FALSE(check_topic(std::string(65536, 'a')).has_value());
  CHECK_FALSE(check_topic("a/+").has_value());
  CHECK_FALSE(check_topic("a/#").has_value());
  CHECK_FALSE(check_topic(std::string("a\0b", 3)).has_value());
  CHECK_FALSE(check_topic("\xff").has_value());
  CHECK(check_topic("").error().what == "the topic is empty");
  CHECK(check_topic("a/+").error().what == "'a/+' is no topic");
  CHECK(check_filter("a/+/#").has_value());
  CHECK(check_filter("$share/g/a/#").has_value());
  CHECK_FALSE(check_filter("a/#/b").has_value());
  CHECK(check_filter("a+").error().what == "'a+' is no topic filter");
  CHECK(check_filter("").error().what == "'' is no topic filter");
}

TEST_CASE("a filter matches topics") {
  CHECK(matches("a/+", "a/b"));
  CHECK(matches("#", "a/b"));
  CHECK_FALSE(matches("a/+", "a/b/c"));
  CHECK_FALSE(matches("#", "$SYS/x"));
}

TEST_CASE("what needs no network is refused before connecting") {
  Connection session;
  session.clean = false;
  CHECK(Client::create(session).error().what == "a session to come back to needs a client id");
  Connection tls;
  tls.tls.emplace().files.cafile = "/nonexistent/ca.pem";
  const auto missing = Client::create(tls);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == ErrorCode::kNoInput);
  CHECK(missing.error().what == "--cafile: /nonexistent/ca.pem: No such file or directory");
}

}  // namespace
}  // namespace fieldpipe::mqtt
