// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "mqtt/envelope.h"

namespace fieldpipe::mqtt {
namespace {

TEST_CASE("properties of an envelope become those of a PUBLISH, and come back") {
  record::Properties properties;
  properties.payload_format_indicator = 1;
  properties.message_expiry_interval = 60;
  properties.content_type = "application/json";
  properties.response_topic = "back";
  properties.correlation_data = std::string("\0\x01", 2);
  properties.user_properties = {{"k", "v"}, {"k", "w"}};
  const Properties published = publish_properties(properties);
  CHECK(published.size() == 7);

  const WallTime at{std::chrono::seconds(1)};
  const record::Envelope back = envelope({"t", "p", 1, true, 7, published}, at);
  CHECK(back == record::Envelope{"t", "p", std::uint8_t{1}, true, at, properties});
}

TEST_CASE("subscription identifiers are shown but never sent") {
  record::Properties properties;
  properties.subscription_identifiers = {5};
  CHECK(publish_properties(properties).empty());
  const record::Envelope received =
      envelope({"t", "", 0, false, 0, {{"subscription-identifier", "", "5"}}}, WallTime{});
  CHECK(received.properties.subscription_identifiers == std::vector<std::uint32_t>{5});
}

}  // namespace
}  // namespace fieldpipe::mqtt
