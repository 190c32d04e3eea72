// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "mqtt/property_list.h"

namespace fieldpipe::mqtt {
namespace {

TEST_CASE("properties are checked against their packet and type") {
  CHECK(check_property(Packet::kPublish, {"content-type", "", "text/plain"}).has_value());
  CHECK(check_property(Packet::kPublish, {"user-property", "k", "v"}).has_value());
  CHECK(check_property(Packet::kPublish, {"message-expiry-interval", "", "4294967295"}).has_value());
  CHECK(check_property(Packet::kPublish, {"message-expiry-interval", "", "4294967296"}).error().what ==
        "message-expiry-interval: '4294967296' is no value for it");
  CHECK(check_property(Packet::kPublish, {"session-expiry-interval", "", "1"}).error().what ==
        "session-expiry-interval does not belong to this packet");
  CHECK(check_property(Packet::kConnect, {"session-expiry-interval", "", "1"}).has_value());
  CHECK(check_property(Packet::kPublish, {"colour", "", "red"}).error().what == "'colour' is no MQTT property");
}

TEST_CASE("what a list holds is read back") {
  const Properties properties{{"payload-format-indicator", "", "1"},
                              {"message-expiry-interval", "", "4294967295"},
                              {"topic-alias", "", "65535"},
                              {"content-type", "", "text/plain"},
                              {"correlation-data", "", {"\0\xff", 2}},
                              {"user-property", "k", "v"},
                              {"user-property", "k", "w"}};
  const auto list = property_list(Packet::kPublish, properties);
  REQUIRE(list.has_value());
  CHECK(read_properties(list->get()) == properties);
}

}  // namespace
}  // namespace fieldpipe::mqtt
