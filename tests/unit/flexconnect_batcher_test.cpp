// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "flexconnect/batcher.h"
#include "flexconnect/binary.h"
#include "flexconnect/json_message.h"

namespace fieldpipe::flexconnect {
namespace {

using std::chrono::milliseconds;

can::Frame make_frame(std::uint8_t length_bytes) {
  can::Frame frame{};
  frame.id = 1;
  frame.length_bytes = length_bytes;
  return frame;
}

// Sizes of the messages that frames at these times make, the last one closed at the end.
std::vector<std::size_t> sizes(BatchLimits limits, const std::vector<std::int64_t>& times) {
  BinaryEncoder encoder("");
  Batcher batcher(encoder, limits);
  std::vector<std::size_t> out;
  const auto sink = [&](Bytes message) -> Result<void> {
    out.push_back(message.size());
    return {};
  };
  for (const std::int64_t time_ms : times) REQUIRE(batcher.add(sink, time_ms, 0U, make_frame(8)));
  REQUIRE(batcher.close(sink));
  CHECK(batcher.empty());
  REQUIRE(batcher.close(sink));
  return out;
}

using Sizes = std::vector<std::size_t>;

}  // namespace

// A message of n points of one frame of 8 bytes is 4 + n * 25 bytes.

TEST_CASE("a message ends before it would be too large") {
  CHECK(sizes({.max_bytes = 79}, {1, 2, 3, 4, 5, 6, 7}) == Sizes{79, 79, 29});
  CHECK(sizes({.max_bytes = 78}, {1, 2, 3, 4, 5}) == Sizes{54, 54, 29});
  // Of one millisecond: 4 + 12 + n * 13.
  CHECK(sizes({.max_bytes = 55}, {1, 1, 1, 1}) == Sizes{55, 29});
  CHECK(sizes({.max_bytes = 54}, {1, 1, 1, 1}) == Sizes{42, 42});
}

TEST_CASE("a message ends at the interval of frame time") {
  CHECK(sizes({.interval = milliseconds(10)}, {100, 109, 110, 111, 120}) == Sizes{54, 54, 29});
  CHECK(sizes({.interval = milliseconds(0)}, {100, 100, 101}) == Sizes{29, 29, 29});
  // Back by no more than the interval is within it, counted from the first frame.
  CHECK(sizes({.interval = milliseconds(10)}, {100, 90, 109}) == Sizes{79});
  CHECK(sizes({.interval = milliseconds(10)}, {100, 89, 98, 99}) == Sizes{29, 54, 29});
  CHECK(sizes({}, {0, std::numeric_limits<std::int64_t>::max(), 0}) == Sizes{29, 29, 29});
}

TEST_CASE("a message ends with its last record") {
  CHECK(sizes({.max_records = 1}, {1, 1, 2}) == Sizes{29, 29, 29});
  CHECK(sizes({.max_records = 2}, {1, 2, 3}) == Sizes{54, 29});
  // It leaves at once, not before the next one.
  BinaryEncoder encoder("");
  Batcher batcher(encoder, {.max_records = 1});
  int messages = 0;
  REQUIRE(batcher.add([&](Bytes) -> Result<void> { return ++messages, Result<void>{}; }, 1, 0U, make_frame(0)));
  CHECK(messages == 1);
  CHECK(batcher.empty());
}

TEST_CASE("a record that no message holds is refused, and the ones before it go out") {
  BinaryEncoder encoder("token");
  Batcher batcher(encoder, {.max_bytes = 30});
  int messages = 0;
  const auto sink = [&](Bytes) -> Result<void> { return ++messages, Result<void>{}; };
  REQUIRE(batcher.add(sink, 1, 0U, make_frame(4)));
  const auto added = batcher.add(sink, 1, 0U, make_frame(5));
  REQUIRE_FALSE(added);
  CHECK(added.error().what == "one record alone makes a message of 31 bytes, the limit is 30");
  CHECK(messages == 1);
  CHECK(batcher.empty());
  CHECK(batcher.add(sink, 1, 0U, make_frame(4)));
}

TEST_CASE("a sink that fails is heard") {
  BinaryEncoder encoder("");
  Batcher batcher(encoder, {.max_records = 1});
  const auto added =
      batcher.add([](Bytes) -> Result<void> { return fail(ErrorCode::kIo, "full"); }, 1, 0U, make_frame(0));
  REQUIRE_FALSE(added);
  CHECK(added.error().what == "full");
}

TEST_CASE("points of JSON are batched by the same rule, and by device") {
  JsonEncoder encoder({.device_id = "d", .token = "t", .tags = {}, .point_tags = {}});
  Batcher batcher(encoder, {.max_bytes = 200, .interval = milliseconds(10)});
  std::vector<std::string> messages;
  const auto sink = [&](std::string_view message) -> Result<void> {
    messages.emplace_back(message);
    return {};
  };
  PointText text;
  const auto add = [&](const Point& point) {
    encoder.render(point, text);
    return batcher.add(sink, point.time_ms, text);
  };
  REQUIRE(add({1, {}, {}, {}, {{"a", "1"}}}));
  REQUIRE(add({2, {}, {}, {}, {{"a", "1"}}}));
  REQUIRE(add({3, "e", {}, {}, {{"a", "1"}}}));
  REQUIRE(add({4, {}, {}, {}, {{"a", "1"}}}));
  REQUIRE(add({14, {}, {}, {}, {{"a", "1"}}}));
  REQUIRE(add({15, {}, {}, {}, {{"a", "\"" + std::string(60, 'x') + "\""}}}));
  const auto added = add({15, {}, {}, {}, {{"a", "\"" + std::string(200, 'x') + "\""}}});
  REQUIRE_FALSE(added);
  CHECK(added.error().what == "one record alone makes a message of 312 bytes, the limit is 200");
  REQUIRE(batcher.close(sink));
  std::vector<std::size_t> points;
  for (const std::string& message : messages) {
    CHECK(message.size() <= 200);
    JsonDecoder decoder;
    REQUIRE(decoder.open(message));
    Point point;
    std::size_t count = 0;
    while (decoder.next(point).value()) ++count;
    points.push_back(count);
  }
  CHECK(points == std::vector<std::size_t>{2, 1, 1, 1, 1});
}

TEST_CASE("frames of JSON are batched by the same rule") {
  JsonEncoder encoder({.device_id = "d", .token = "t", .tags = {}, .point_tags = {}});
  std::vector<std::size_t> out;
  const auto sink = [&](std::string_view message) -> Result<void> {
    out.push_back(message.size());
    return {};
  };
  Batcher batcher(encoder, {.max_bytes = 400});
  for (int i = 0; i < 50; ++i) REQUIRE(batcher.add(sink, i / 3, 0U, make_frame(8)));
  REQUIRE(batcher.close(sink));
  CHECK(out.size() > 5);
  for (const std::size_t size : out) CHECK(size <= 400);
}

}  // namespace fieldpipe::flexconnect
