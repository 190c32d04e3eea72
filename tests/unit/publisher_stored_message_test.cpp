// SPDX-License-Identifier: MIT
#include <string>

#include <doctest/doctest.h>

#include "publisher/stored_message.h"

namespace fieldpipe::publisher {
namespace {

const mqtt::Properties kProperties = {{"content-type", "", "text/plain"}, {"user-property", "key", "value"}};
const std::string kTopic = "car/7";

std::string stored(Bytes payload, int qos, bool retain, const mqtt::Properties* properties) {
  std::string bytes;
  append_stored_message(bytes, {kTopic, payload, qos, retain, properties});
  return bytes;
}

TEST_CASE("a message comes back with all that was said of it") {
  using namespace std::string_view_literals;
  for (const std::string_view payload : {"\0binary\n"sv, ""sv}) {
    const std::string bytes = stored(as_bytes(payload), 2, true, &kProperties);
    const auto message = decode_stored_message(as_bytes(bytes));
    REQUIRE(message);
    CHECK(message->topic == kTopic);
    CHECK(message->qos == 2);
    CHECK(message->retain);
    CHECK(message->properties == kProperties);
    CHECK(as_text(message->payload) == payload);
  }
  const std::string bytes = stored({}, 0, false, nullptr);
  CHECK(bytes == std::string("\1\0\0\0\5\0\0\0car/7", 13));
  CHECK(decode_stored_message(as_bytes(bytes))->properties.empty());
}

TEST_CASE("a message that is cut in front of its payload is none, and no other version is read") {
  std::string bytes = stored(as_bytes("payload"), 1, false, &kProperties);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(decode_stored_message(as_bytes(bytes).first(size)).has_value() == (size >= bytes.size() - 7));
  }
  for (const auto& [at, value] : {std::pair(0, 2), std::pair(1, 3), std::pair(1, 8), std::pair(7, 0x7F)}) {
    std::string wrong = bytes;
    wrong[static_cast<std::size_t>(at)] = static_cast<char>(value);
    CHECK_FALSE(decode_stored_message(as_bytes(wrong)));
  }
}

}  // namespace
}  // namespace fieldpipe::publisher
