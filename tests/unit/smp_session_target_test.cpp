// SPDX-License-Identifier: MIT
#include <string>

#include <doctest/doctest.h>

#include "smp_session/target.h"

namespace fieldpipe::smp_session {
namespace {

std::string normal(std::string_view text) {
  const auto target = parse_target(text);
  REQUIRE(target);
  return print_target(*target);
}

TEST_CASE("places of each kind") {
  CHECK(normal("serial:/dev/ttyACM0") == "serial:/dev/ttyACM0");
  CHECK(normal("serial:/dev/ttyACM0@115200") == "serial:/dev/ttyACM0");
  CHECK(normal("raw:/dev/ttyS1@921600") == "raw:/dev/ttyS1@921600");
  CHECK(normal("udp:10.0.0.7") == "udp:10.0.0.7:1337");
  CHECK(normal("udp:device.local:1400") == "udp:device.local:1400");
  CHECK(normal("udp:fe80::1%eth0") == "udp:[fe80::1%eth0]:1337");
  CHECK(normal("udp:[::1]") == "udp:[::1]:1337");
  CHECK(normal("udp:[::1]:1400") == "udp:[::1]:1400");
  CHECK(normal("tcp:localhost:4000") == "tcp:localhost:4000");
  CHECK(normal("ble:AA:BB:CC:DD:EE:FF") == "ble:AA:BB:CC:DD:EE:FF");
}

TEST_CASE("what names no place") {
  CHECK(parse_target("/dev/ttyACM0").error().what == "'/dev/ttyACM0' names no transport");
  CHECK(parse_target("serial:").error().what == "'serial:' names no place");
  CHECK(parse_target("tcp:host").error().what == "'host' has no port");
  CHECK(parse_target("udp:host:port").error().what == "port 'port' is not a number from 1 to 65535");
  CHECK(parse_target("tcp:unix:/run/x").error().what == "a unix socket is no place of a device");
  CHECK(parse_target("udp:unix:/run/x").error().what == "a unix socket is no place of a device");
}

}  // namespace
}  // namespace fieldpipe::smp_session
