// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "uplink/configuration.h"

using namespace fieldpipe;
using namespace fieldpipe::uplink;
using std::chrono::seconds;

namespace {

Configuration parsed(std::string_view text) {
  auto configuration = parse_configuration(text);
  REQUIRE_MESSAGE(configuration, configuration.error().what);
  return *std::move(configuration);
}

std::string refusal(std::string_view text) {
  const auto configuration = parse_configuration(text);
  REQUIRE_FALSE(configuration);
  CHECK(configuration.error().code == ErrorCode::kConfig);
  return configuration.error().what;
}

const StreamSettings& stream(const Configuration& configuration, std::string_view name) {
  const auto found = std::find_if(configuration.streams.begin(), configuration.streams.end(),
                                  [&](const StreamSettings& s) { return s.name == name; });
  REQUIRE(found != configuration.streams.end());
  return *found;
}

const Device kDevice{"demo", "1", "localhost", 1883, {}};

}  // namespace

TEST_CASE("an empty file is all defaults") {
  const Configuration configuration = parsed("");
  CHECK(configuration.apps.empty());
  CHECK(configuration.max_packet_size == 256000);
  CHECK(configuration.max_inflight == 100);
  CHECK(configuration.keep_alive == seconds(30));
  CHECK(configuration.clean_session);
  CHECK_FALSE(configuration.default_action_timeout);
  CHECK(configuration.warnings.empty());
  REQUIRE(configuration.streams.size() == 3);
  const StreamSettings& status = stream(configuration, "action_status");
  CHECK(status.batch_size == 1);
  CHECK(status.priority == 255);
  CHECK(status.durable);
  CHECK(stream_topic(status, kDevice) == "/tenants/demo/devices/1/action/status");
  CHECK(stream(configuration, "logs").batch_size == 32);
  CHECK(stream(configuration, "device_shadow").flush_period == seconds(5));
}

TEST_CASE("uplink's file as it is") {
  const Configuration configuration = parsed(
      "persistence_path = \"/var/lib/uplink\"\n"
      "prioritize_live_data = \"on\"\n"
      "max_stream_count = \"7\"\n"
      "enable_remote_shell = false\n"
      "processes = []\n"
      "[mqtt]\n"
      "max_packet_size = 1000\n"
      "max_inflight = 10\n"
      "keep_alive = 60\n"
      "network_timeout = 30\n"
      "[tcpapps.main]\n"
      "port = 5050\n"
      "actions = [{ name = \"reboot\", timeout = 5 }, { name = \"update_firmware\" }]\n"
      "[tcpapps.other]\n"
      "port = 6060\n"
      "[streams.gps]\n"
      "batch_size = 0\n"
      "flush_period = 3\n"
      "compression = \"Lz4\"\n"
      "priority = 9\n"
      "persistence = { max_file_count = 3, max_file_size = 1024 }\n"
      "[streams.can]\n"
      "topic = \"site/{tenant_id}/{device_id}/{other}\"\n"
      "persistence = { max_file_count = 0 }\n"
      "[system_stats]\n"
      "enabled = false\n");
  CHECK(configuration.warnings.empty());
  CHECK(configuration.persistence_path == "/var/lib/uplink");
  CHECK(configuration.prioritize_live_data);
  CHECK(configuration.max_stream_count == 7);
  CHECK(configuration.max_packet_size == 1000);
  CHECK(configuration.max_inflight == 10);
  CHECK(configuration.keep_alive == seconds(60));
  REQUIRE(configuration.apps.size() == 2);
  const App& main = configuration.apps[0];
  CHECK(main.name == "main");
  CHECK(main.port == 5050);
  REQUIRE(main.actions.size() == 2);
  CHECK(main.actions[0].name == "reboot");
  CHECK(main.actions[0].timeout == seconds(5));
  CHECK_FALSE(main.actions[1].timeout);
  const StreamSettings& gps = stream(configuration, "gps");
  CHECK(gps.batch_size == 1);
  CHECK(gps.flush_period == seconds(3));
  CHECK(gps.priority == 9);
  CHECK(gps.durable);
  CHECK(gps.memory_bytes == 1024);
  CHECK(stream_topic(gps, kDevice) == "/tenants/demo/devices/1/events/gps/jsonarray/lz4");
  const StreamSettings& can = stream(configuration, "can");
  CHECK_FALSE(can.durable);
  CHECK(stream_topic(can, kDevice) == "site/demo/1/{other}");
}

TEST_CASE("our own keys") {
  const Configuration configuration = parsed(
      "bind = \"0.0.0.0\"\n"
      "default_action_timeout = 60\n"
      "action_queue_age = 100\n"
      "check_action_status = false\n"
      "[mqtt]\n"
      "username = \"gateway\"\n"
      "password_file = \"/run/secret\"\n"
      "clean_session = false\n"
      "[tcpapps.local]\n"
      "unix = \"/run/app.sock\"\n");
  CHECK(configuration.warnings.empty());
  CHECK(configuration.bind == std::vector<std::string>{"0.0.0.0"});
  CHECK(configuration.default_action_timeout == seconds(60));
  CHECK(configuration.action_queue_age == seconds(100));
  CHECK_FALSE(configuration.check_action_status);
  CHECK(configuration.username == "gateway");
  CHECK(configuration.password_file == "/run/secret");
  CHECK_FALSE(configuration.clean_session);
  CHECK(configuration.apps.at(0).port == 0);
  CHECK(configuration.apps.at(0).unix_path == "/run/app.sock");
  CHECK(parsed("bind = [\"127.0.0.1\", \"::1\"]\n").bind.size() == 2);
}

TEST_CASE("keys that are unknown or not done are named") {
  const Configuration configuration = parsed(
      "colour = 1\n"
      "processes = [{ name = \"x\" }]\n"
      "[mqtt]\n"
      "qos = 2\n"
      "[tcpapps.main]\n"
      "port = 5050\n"
      "actions = [{ name = \"a\", cancellable = true, retries = 1 }]\n"
      "speed = 1\n"
      "[streams.\"a+b\"]\n"
      "batch_size = 1\n"
      "[streams.x]\n"
      "persistence = { max_files = 1 }\n"
      "[downloader]\n"
      "actions = []\n");
  CHECK(
      configuration.warnings ==
      std::vector<std::string>{
          "line 7: tcpapps.main.actions.cancellable: has no meaning since release 2.18: every action can be cancelled",
          "line 7: tcpapps.main.actions.retries: unknown key",
          "line 8: tcpapps.main.speed: unknown key",
          "line 9: streams.a+b: stream name 'a+b' holds '+', so its lines are refused",
          "line 12: streams.x.persistence.max_files: unknown key",
          "line 4: mqtt.qos: unknown key",
          "line 1: colour: unknown key",
          "line 2: processes: uplink has this, and it is not done here",
          "line 13: downloader: uplink has this, and it is not done here",
      });
}

TEST_CASE("what is wrong is refused with its line") {
  CHECK(refusal("[tcpapps.a]\nport = 70000\n") ==
        "line 2: tcpapps.a.port: '70000' is not a whole number from 1 to 65535");
  CHECK(refusal("[tcpapps.a]\nport = 0\n") == "line 2: tcpapps.a.port: '0' is not a whole number from 1 to 65535");
  CHECK(refusal("[tcpapps.a]\n") == "line 1: tcpapps.a.port: is missing");
  CHECK(refusal("[tcpapps.a]\nport = [1]\n") == "line 2: tcpapps.a.port: must be a whole number, is an array");
  CHECK(refusal("[tcpapps.a]\nport = 5\nactions = [\"reboot\"]\n") ==
        "line 3: tcpapps.a.actions: an action is a table: { name = \"...\" }");
  CHECK(refusal("[tcpapps.a]\nport = 5\nactions = [{ timeout = 5 }]\n") ==
        "line 3: tcpapps.a.actions: an action needs a name");
  CHECK(refusal("[tcpapps.a]\nport = 5\nactions = \"x\"\n") ==
        "line 3: tcpapps.a.actions: must be an array, is a string");
  CHECK(refusal("[tcpapps]\nport = 5\n") == "line 2: tcpapps.port: must be a table, is an integer");
  CHECK(refusal("[tcpapps.a]\nport = 5\nactions = [{name=\"x\"}]\n[tcpapps.b]\nport = 6\nactions = [{name=\"x\"}]\n") ==
        "tcpapps.b: action x belongs to tcpapps.a already");
  CHECK(refusal("[tcpapps.a]\nport = 5\nactions = [{name=\"x\"},{name=\"x\"}]\n") ==
        "tcpapps.a: action x belongs to tcpapps.a already");
  CHECK(refusal("[tcpapps.a]\nport = 5\n[tcpapps.b]\nport = 5\n") == "tcpapps.b: the port of tcpapps.a too");
  CHECK(refusal("[streams.x]\npriority = 300\n") ==
        "line 2: streams.x.priority: '300' is not a whole number from 0 to 255");
  CHECK(refusal("[streams.x]\ncompression = \"lz4\"\n") ==
        "line 1: streams.x.compression: 'lz4' is not one of Disabled, Lz4");
  CHECK(refusal("[streams.x]\ntopic = \"a/#\"\n") == "line 1: streams.x.topic: 'a/#' is no topic");
  CHECK(refusal("[streams.x]\nflush_period = -1\n") ==
        "line 2: streams.x.flush_period: '-1' is not a whole number from 0 to 316224000");
  CHECK(refusal("prioritize_live_data = 2\n") == "line 1: prioritize_live_data: '2' is not true or false");
  CHECK(refusal("bind = 5\n") == "line 1: bind: must be an address, as \"0.0.0.0\", or an array of them");
  CHECK(refusal("[mqtt]\npassword = \"secret\"\n") ==
        "line 2: mqtt.password: a password in this file would be read by others: password_file");
  CHECK(refusal("streams = 1\n") == "line 1: streams: must be a table, is an integer");
  CHECK(refusal("a = \n").starts_with("line 1: "));
}

TEST_CASE("the device file") {
  std::vector<std::string> warnings;
  const auto device = parse_device(
      R"({"project_id":"demo","device_id":"1","broker":"example.com","port":8883,"colour":1,)"
      R"("authentication":{"ca_certificate":"A\nB","device_certificate":"C","device_private_key":"D","more":1}})",
      warnings);
  REQUIRE(device);
  CHECK(device->project_id == "demo");
  CHECK(device->port == 8883);
  REQUIRE(device->authentication);
  CHECK(device->authentication->ca_certificate == "A\nB");
  CHECK(device->authentication->device_private_key == "D");
  CHECK(warnings == std::vector<std::string>{"colour: unknown key"});

  const auto wrong = [](std::string_view text) {
    std::vector<std::string> ignored;
    const auto bad = parse_device(text, ignored);
    REQUIRE_FALSE(bad);
    CHECK(bad.error().code == ErrorCode::kConfig);
    return bad.error().what;
  };
  CHECK(wrong(R"({"project_id":"demo","device_id":"1","broker":"b"})") == "port is missing");
  CHECK(wrong(R"({"project_id":"demo","device_id":"1","broker":"b","port":70000})") ==
        "port: 70000 is not from 1 to 65535");
  CHECK(wrong(R"({"project_id":"demo","device_id":"a/b","broker":"b","port":1})") ==
        "device_id: 'a/b' cannot be a level of a topic");
  CHECK(wrong(R"({"project_id":"demo","device_id":1,"broker":"b","port":1})") ==
        "device_id: must be a string, is a number");
  CHECK(wrong(R"({"project_id":"demo","device_id":"1","broker":"b","port":1,"authentication":"x"})") ==
        "authentication: must be an object");
  CHECK(wrong(R"({"device_id":"1","device_id":"2"})") == "device_id: key stands twice");
  CHECK(parse_device(R"({"project_id":"demo","device_id":"1","broker":"b","port":1,"authentication":null})", warnings));
}
