// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "mqtt/broker_url.h"

namespace fieldpipe::mqtt {
namespace {

void check_refused(std::string_view text, std::string_view what) {
  const auto url = parse_broker_url(text);
  REQUIRE_FALSE(url.has_value());
  CHECK(url.error().code == ErrorCode::kUsage);
  CHECK(url.error().what == what);
}

TEST_CASE("broker URLs say host, port, TLS, user and topic") {
  CHECK(parse_broker_url("mqtt://broker").value() == BrokerUrl{"broker", 1883, false, "", ""});
  CHECK(parse_broker_url("mqtts://broker").value() == BrokerUrl{"broker", 8883, true, "", ""});
  CHECK(parse_broker_url("mqtts://broker/flexconnect/#").value() ==
        BrokerUrl{"broker", 8883, true, "", "flexconnect/#"});
  CHECK(parse_broker_url("mqtt://me@broker:1884/a/b").value() == BrokerUrl{"broker", 1884, false, "me", "a/b"});
  CHECK(parse_broker_url("mqtt://[::1]").value() == BrokerUrl{"::1", 1883, false, "", ""});
  CHECK(parse_broker_url("mqtt://[::1]:65535/t").value() == BrokerUrl{"::1", 65535, false, "", "t"});
  CHECK(parse_broker_url("mqtt://broker/").value() == BrokerUrl{"broker", 1883, false, "", ""});
  CHECK(parse_broker_url("mqtt://me@home@broker").value() == BrokerUrl{"broker", 1883, false, "me@home", ""});
}

TEST_CASE("broker URLs of unix sockets") {
  CHECK(parse_broker_url("unix:/run/m.sock").value() == BrokerUrl{"/run/m.sock", 0, false, "", ""});
  CHECK(parse_broker_url("unix:///run/m.sock").value() == BrokerUrl{"/run/m.sock", 0, false, "", ""});
  CHECK(parse_broker_url("unix:m.sock").value() == BrokerUrl{"m.sock", 0, false, "", ""});
  check_refused("unix:", "'unix:' has no path");
}

TEST_CASE("what is no broker URL is refused by its part") {
  check_refused("", "'' is no broker URL");
  check_refused("broker", "'broker' is no broker URL");
  check_refused("http://broker", "'http://broker' is no broker URL");
  check_refused("mqtt://", "'mqtt://' has no host");
  check_refused("mqtt:///topic", "'mqtt:///topic' has no host");
  check_refused("mqtt://[::1", "'mqtt://[::1' lacks a ]");
  check_refused("mqtt://[::1]x", "'x' is no port, which is :1 to :65535");
  check_refused("mqtt://h:0", "':0' is no port, which is :1 to :65535");
  check_refused("mqtt://h:65536", "':65536' is no port, which is :1 to :65535");
  check_refused("mqtt://h:", "':' is no port, which is :1 to :65535");
}

TEST_CASE("a password in a URL is refused and not repeated") {
  const auto url = parse_broker_url("mqtt://me:geheim@broker");
  REQUIRE_FALSE(url.has_value());
  CHECK(url.error().what == "a password in the URL would be visible to every user of this machine");
  CHECK(url.error().hint == "--password-file");
  check_refused("mqtt://me:gehe/im@broker", "a password in the URL would be visible to every user of this machine");
  check_refused("http://me:geheim@broker", "'...@broker' is no broker URL");
  check_refused("mqtt:me:geheim@broker", "'...@broker' is no broker URL");
  check_refused("mqtts://me@", "'...@' has no host");
}

}  // namespace
}  // namespace fieldpipe::mqtt
