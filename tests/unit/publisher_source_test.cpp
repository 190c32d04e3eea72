// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "publisher/source.h"

namespace fieldpipe::publisher {
namespace {

// An input that holds `text`.
io::Input input_of(std::string_view text) {
  char path[] = "/tmp/fieldpipe-source-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  close(fd);
  auto input = io::Input::open(path);
  unlink(path);
  REQUIRE(input.has_value());
  return *std::move(input);
}

std::vector<std::string> payloads(Source& source) {
  std::vector<std::string> all;
  while (!source.at_end()) {
    auto record = source.next();
    REQUIRE(record.has_value());
    if (*record) {
      all.emplace_back(as_text((*record)->payload));
    } else if (source.descriptor() >= 0) {
      REQUIRE(source.read_more().has_value());
    }
  }
  return all;
}

TEST_CASE("a stream gives its records and then ends") {
  Source source = Source::records(input_of("a\n\nb"), record::Framing::kAuto, 100);
  CHECK(payloads(source) == std::vector<std::string>{"a", "", "b"});
  CHECK(source.number() == 3);
}

TEST_CASE("an empty stream of lines has no record, as a whole it is one") {
  Source lines = Source::records(input_of(""), record::Framing::kLines, 100);
  CHECK(payloads(lines).empty());
  Source whole = Source::records(input_of(""), record::Framing::kWhole, 100);
  REQUIRE(whole.read_more().has_value());
  const auto record = whole.next();
  REQUIRE(record.has_value());
  CHECK(record->has_value());
}

TEST_CASE("envelopes bring topic, QoS, retain and properties") {
  Source source = Source::envelopes(
      input_of(R"({"topic":"a/b","payload":"x","qos":2,"retain":true,"properties":{"content_type":"c"}})"
               "\n"),
      1000);
  REQUIRE(source.read_more().has_value());
  const auto record = source.next();
  REQUIRE(record.has_value());
  REQUIRE(record->has_value());
  CHECK(*(*record)->topic == "a/b");
  CHECK(as_text((*record)->payload) == "x");
  CHECK((*record)->qos == 2);
  CHECK((*record)->retain == true);
  CHECK((*record)->properties == mqtt::Properties{{"content-type", "", "c"}});
}

TEST_CASE("what is no envelope is refused with its number") {
  Source source = Source::envelopes(input_of("{\"topic\":\"t\",\"payload\":\"\"}\n[]\n"), 1000);
  REQUIRE(source.read_more().has_value());
  REQUIRE(source.next().has_value());
  const auto second = source.next();
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == ErrorCode::kBadData);
  CHECK(second.error().what.find(": record 2: ") != std::string::npos);
}

TEST_CASE("a payload is repeated with its delay") {
  Source source = Source::repeated("x", 3, std::chrono::nanoseconds(0));
  CHECK(payloads(source) == std::vector<std::string>{"x", "x", "x"});
  Source slow = Source::repeated("x", 2, std::chrono::hours(1));
  CHECK(slow.next().value().has_value());
  CHECK_FALSE(slow.next().value().has_value());
  CHECK_FALSE(slow.at_end());
  CHECK(slow.ready_at().value() > monotonic_now() + std::chrono::minutes(59));
}

}  // namespace
}  // namespace fieldpipe::publisher
