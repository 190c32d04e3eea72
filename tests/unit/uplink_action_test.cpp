// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "uplink/action.h"

using namespace fieldpipe;
using std::string_view_literals::operator""sv;

namespace {

// The action's line without its LF, or why the text is refused.
std::string round(std::string_view text) {
  json::Reader reader;
  const auto action = uplink::parse_action(reader, text);
  if (!action) {
    CHECK(action.error().code == ErrorCode::kBadData);
    return action.error().what;
  }
  std::string out;
  uplink::append_action_line(out, *action);
  REQUIRE(out.ends_with('\n'));
  out.pop_back();
  return out;
}

std::string round_response(std::string_view line) {
  json::Reader reader;
  const auto response = uplink::parse_response(reader, line);
  if (!response) return response.error().what;
  std::string out;
  uplink::append_response_point(out, *response);
  return out;
}

constexpr std::string_view kReboot = R"({"action_id":"123","name":"reboot","payload":"{\"delay\":5}"})";
constexpr std::string_view kResponse =
    R"({"stream":"action_status","sequence":1,"timestamp":1700000000000,"action_id":"12","state":"Failed","progress":100,"errors":["a","b\n"]})";

}  // namespace

TEST_CASE("an action is three texts, printed in uplink's order") {
  CHECK(round(kReboot) == kReboot);
  CHECK(round(R"({ "payload": "", "name": "caf\u00e9", "id": "1" })") ==
        R"({"action_id":"1","name":"café","payload":""})");
  CHECK(round(R"({"action_id":"1","kind":"process","name":"a","payload":"x","more":{"a":[]}})") ==
        R"({"action_id":"1","name":"a","payload":"x"})");
  CHECK(round(R"({"action_id":"1","name":"a","payload":"line\nNUL\u0000"})") ==
        R"({"action_id":"1","name":"a","payload":"line\nNUL\u0000"})");
}

TEST_CASE("what is no action is refused with its reason") {
  CHECK(round("[" + std::string(kReboot) + "]") == "must be an object, is an array");
  CHECK(round(R"({"action_id":123,"name":"a","payload":""})") == "action_id: must be a string, is a number");
  CHECK(round(R"({"action_id":"1","name":"a","payload":{}})") == "payload: must be a string, is an object");
  CHECK(round(R"({"action_id":"1","id":"1","name":"a","payload":""})") == "id: key stands twice");
  CHECK(round(R"({"name":"a","payload":""})") == "no action_id");
  CHECK(round(R"({"action_id":"1","payload":""})") == "no name");
  CHECK(round(R"({"action_id":"1","name":"a"})") == "no payload");
  CHECK(round(R"({"action_id":"1\n","name":"a","payload":""})") == "action_id: holds a control character");
  CHECK(round(fmt::format(R"({{"action_id":"1","name":"{}","payload":""}})", std::string(257, 'n'))) ==
        "name: 257 bytes, more than the limit of 256");
  CHECK(round(std::string(10000, '[')) == "must be an object, is an array");
  CHECK(round("") == "no JSON text");
  CHECK(round("hello") == "JSON text must be an object or an array");
}

TEST_CASE("a payload of 10 MiB is refused by its size, one within the limit is kept") {
  const auto with_payload = [](std::size_t bytes) {
    return fmt::format(R"({{"action_id":"1","name":"a","payload":"{}"}})", std::string(bytes, 'p'));
  };
  CHECK(round(with_payload(10U << 20U)) == "10485801 bytes, more than the limit of 1MiB");
  CHECK(round(with_payload(1000000)) == with_payload(1000000));
}

TEST_CASE("cut at every byte, an action is refused") {
  for (std::size_t size = 0; size < kReboot.size(); ++size) {
    CAPTURE(size);
    CHECK(!round(kReboot.substr(0, size)).starts_with('{'));
  }
}

TEST_CASE("what a cancel_action asks for") {
  json::Reader reader;
  const auto request = uplink::parse_cancel_request(reader, R"({"action_id":"7","name":"update"})");
  REQUIRE(request);
  CHECK(request->action_id == "7");
  CHECK(request->name == "update");
  CHECK(uplink::parse_cancel_request(reader, R"({"action_id":"7"})").error().what == "no name");
  CHECK(uplink::parse_cancel_request(reader, R"({"name":"update"})").error().what == "no action_id");
  CHECK(uplink::parse_cancel_request(reader, "7").error().what == "JSON text must be an object or an array");
}

TEST_CASE("a response is complete, in whatever order; its old key id is repaired") {
  const std::string_view point =
      R"({"sequence":1,"timestamp":1700000000000,"action_id":"12","state":"Failed","progress":100,"errors":["a","b\n"]})";
  CHECK(round_response(kResponse) == point);
  CHECK(
      round_response(
          R"({"errors":["a","b\n"],"extra":1,"progress":100,"id":"12","state":"Failed","timestamp":1700000000000,"sequence":1,"stream":"action_status"})") ==
      point);
  json::Reader reader;
  const auto response = uplink::parse_response(reader, kResponse);
  REQUIRE(response);
  CHECK(response->is_final());
  std::string line;
  uplink::append_response_line(line, *response);
  CHECK(line == std::string(kResponse) + "\n");
}

TEST_CASE("a response that lacks something, or has it in another type, is refused") {
  const auto without = [](std::string_view member) {
    std::string line(kResponse);
    const std::size_t at = line.find(member);
    REQUIRE(at != std::string::npos);
    return line.erase(at, member.size());
  };
  const auto changed = [](std::string_view from, std::string_view to) {
    std::string line(kResponse);
    const std::size_t at = line.find(from);
    REQUIRE(at != std::string::npos);
    return line.replace(at, from.size(), to);
  };
  CHECK(round_response(without(R"("stream":"action_status",)")) == "no stream");
  CHECK(round_response(without(R"("sequence":1,)")) == "no sequence");
  CHECK(round_response(without(R"("timestamp":1700000000000,)")) == "no timestamp");
  CHECK(round_response(without(R"("action_id":"12",)")) == "no action_id");
  CHECK(round_response(without(R"("state":"Failed",)")) == "no state");
  CHECK(round_response(without(R"("progress":100,)")) == "no progress");
  CHECK(round_response(without(R"(,"errors":["a","b\n"])")) == "no errors");
  CHECK(round_response(changed("action_status", "other")) == "stream: must be action_status");
  CHECK(round_response(changed("100", "256")) == "progress: must be an integer from 0 to 255, is 256");
  CHECK(round_response(changed("100", "50.5")) == "progress: must be an integer from 0 to 255, is 50.5");
  CHECK(round_response(changed(R"(["a","b\n"])", R"("a")")) == "errors: must be an array, is a string");
  CHECK(round_response(changed(R"("a",)", "1,")) == "must be a string, is a number");
  CHECK(round_response(changed(R"("12")", "12")) == "action_id: must be a string, is a number");
  CHECK(round_response(changed(R"("state")", R"("id":"12","state")")) == "id: key stands twice");
}
