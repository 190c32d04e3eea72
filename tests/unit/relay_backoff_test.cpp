// SPDX-License-Identifier: MIT
#include <chrono>

#include <doctest/doctest.h>

#include "relay/backoff.h"

namespace fieldpipe::relay {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr double kAlmostOne = 0.999999999;

milliseconds wait(const Backoff& backoff, Class failure, bool slow, unsigned failures, double random) {
  return std::chrono::round<milliseconds>(backoff.wait(failure, slow, failures, random));
}

TEST_CASE("each class waits between its floor and a limit that doubles up to its most") {
  struct Row {
    Class failure;
    bool slow;
    unsigned failures;
    milliseconds least;
    milliseconds most;
  };
  const Row kRows[] = {
      {Class::kNetwork, false, 0, 250ms, 1s},     {Class::kNetwork, false, 1, 250ms, 2s},
      {Class::kNetwork, false, 5, 250ms, 32s},    {Class::kNetwork, false, 9, 250ms, 300s},
      {Class::kServer, false, 0, 1s, 10s},        {Class::kServer, false, 3, 1s, 80s},
      {Class::kServer, false, 20, 1s, 3600s},     {Class::kServer, true, 0, 60s, 120s},
      {Class::kServer, true, 4, 60s, 160s},       {Class::kRate, false, 0, 1s, 10s},
      {Class::kRate, false, 4000000000U, 1s, 1h}, {Class::kCredential, false, 0, 10s, 30s},
      {Class::kCredential, false, 2, 10s, 120s},  {Class::kCredential, false, 63, 10s, 900s},
      {Class::kEndpoint, false, 0, 10s, 30s},     {Class::kEndpoint, false, 64, 10s, 900s},
  };
  for (const Row& row : kRows) {
    CAPTURE(print(row.failure));
    CAPTURE(row.failures);
    CHECK(wait({}, row.failure, row.slow, row.failures, 0) == row.least);
    CHECK(wait({}, row.failure, row.slow, row.failures, kAlmostOne) == row.most);
    CHECK(wait({}, row.failure, row.slow, row.failures, 0.5) == (row.least + row.most) / 2);
  }
}

TEST_CASE("the base scales all classes, and no wait is above the limit that was set") {
  const Backoff quick{.base = 10ms, .most = std::nullopt};
  CHECK(quick.wait(Class::kNetwork, false, 0, 0) == 2500us);
  CHECK(wait(quick, Class::kServer, true, 0, kAlmostOne) == 1200ms);
  CHECK(wait(quick, Class::kCredential, false, 1, kAlmostOne) == 600ms);
  CHECK(quick.scaled(1h) == 36s);
  const Backoff bounded{.base = 1s, .most = 20s};
  CHECK(wait(bounded, Class::kServer, true, 0, 0) == 10s);
  CHECK(wait(bounded, Class::kServer, true, 0, kAlmostOne) == 20s);
  CHECK(wait(bounded, Class::kNetwork, false, 40, kAlmostOne) == 20s);
}

TEST_CASE("a wait that the server tells is neither shorter than one's own nor longer than a day") {
  CHECK(Backoff::told(120s, 5s, 0) == 120s);
  CHECK(duration_cast<milliseconds>(Backoff::told(120s, 5s, 0.5)) == 126s);
  CHECK(duration_cast<milliseconds>(Backoff::told(1h, 5s, 0.5)) == 1h + 15s);
  CHECK(Backoff::told(2s, 5s, 0) == 5s);
  CHECK(Backoff::told(-1h, 5s, 0) == 5s);
  CHECK(Backoff::told(nanoseconds::max(), 5s, 0) == 24h);
}

}  // namespace
}  // namespace fieldpipe::relay
