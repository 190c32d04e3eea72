// SPDX-License-Identifier: MIT
#include <string>

#include <doctest/doctest.h>

#include "uplink/batch.h"

using namespace fieldpipe::uplink;

TEST_CASE("points become an array") {
  Batch batch({.points = 3, .bytes = 100});
  CHECK(batch.empty());
  batch.add(R"({"a":1})");
  CHECK_FALSE(batch.full());
  batch.add(R"({"a":2})");
  batch.add(R"({"a":3})");
  CHECK(batch.full());
  CHECK(batch.points() == 3);
  CHECK(batch.take() == R"([{"a":1},{"a":2},{"a":3}])");
  CHECK(batch.empty());
  batch.add("{}");
  CHECK(batch.take() == "[{}]");
}

TEST_CASE("no array is longer than the limit, and one may be as long") {
  const std::string point(8, '1');
  Batch batch({.points = 100, .bytes = 19});
  REQUIRE(batch.has_room(point.size()));
  batch.add(point);
  REQUIRE(batch.has_room(8));
  CHECK_FALSE(batch.has_room(9));
  batch.add(point);
  CHECK_FALSE(batch.has_room(1));
  CHECK(batch.take().size() == 19);
  CHECK(batch.can_hold(17));
  CHECK_FALSE(batch.can_hold(18));
}
