// SPDX-License-Identifier: MIT
#include <limits>

#include <doctest/doctest.h>

#include "core/backoff.h"

namespace fieldpipe {
namespace {

using std::chrono::milliseconds;

constexpr double kAlmostOne = 0.9999;

TEST_CASE("the limit of the delay doubles from one second to thirty") {
  CHECK(backoff(0, kAlmostOne) == milliseconds(999));
  CHECK(backoff(1, kAlmostOne) == milliseconds(1999));
  CHECK(backoff(4, kAlmostOne) == milliseconds(15998));
  CHECK(backoff(5, kAlmostOne) == milliseconds(29997));
  CHECK(backoff(6, kAlmostOne) == milliseconds(29997));
  CHECK(backoff(std::numeric_limits<unsigned>::max(), kAlmostOne) == milliseconds(29997));
}

TEST_CASE("the delay is spread over the whole range, but for a floor") {
  CHECK(backoff(0, 0.0) == kBackoffLeast);
  CHECK(backoff(5, 0.0) == kBackoffLeast);
  CHECK(backoff(3, 0.5) == milliseconds(4125));
  // None of the least only: those whose number is small must not come back together either.
  CHECK(backoff(0, 0.1) == milliseconds(325));
}

}  // namespace
}  // namespace fieldpipe
