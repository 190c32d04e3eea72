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

milliseconds wait(const Backoff& backoff, Verdict failure, bool slow, unsigned failures, double random) {
  return std::chrono::round<milliseconds>(backoff.wait(failure, slow, failures, random));
}

TEST_CASE("each class waits between its floor and a limit that doubles up to its most") {
  struct Row {
    Verdict failure;
    bool slow;
    unsigned failures;
    milliseconds least;
    milliseconds most;
  };
  const Row kRows[] = {
      {Verdict::kNetwork, false, 0, 250ms, 1s},     {Verdict::kNetwork, false, 1, 250ms, 2s},
      {Verdict::kNetwork, false, 5, 250ms, 32s},    {Verdict::kNetwork, false, 9, 250ms, 300s},
      {Verdict::kServer, false, 0, 1s, 10s},        {Verdict::kServer, false, 3, 1s, 80s},
      {Verdict::kServer, false, 20, 1s, 3600s},     {Verdict::kServer, true, 0, 60s, 120s},
      {Verdict::kServer, true, 4, 60s, 160s},       {Verdict::kRate, false, 0, 1s, 10s},
      {Verdict::kRate, false, 4000000000U, 1s, 1h}, {Verdict::kCredential, false, 0, 10s, 30s},
      {Verdict::kCredential, false, 2, 10s, 120s},  {Verdict::kCredential, false, 63, 10s, 900s},
      {Verdict::kEndpoint, false, 0, 10s, 30s},     {Verdict::kEndpoint, false, 64, 10s, 900s},
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
  CHECK(quick.wait(Verdict::kNetwork, false, 0, 0) == 2500us);
  CHECK(wait(quick, Verdict::kServer, true, 0, kAlmostOne) == 1200ms);
  CHECK(wait(quick, Verdict::kCredential, false, 1, kAlmostOne) == 600ms);
  CHECK(quick.scaled(1h) == 36s);
  const Backoff bounded{.base = 1s, .most = 20s};
  CHECK(wait(bounded, Verdict::kServer, true, 0, 0) == 10s);
  CHECK(wait(bounded, Verdict::kServer, true, 0, kAlmostOne) == 20s);
  CHECK(wait(bounded, Verdict::kNetwork, false, 40, kAlmostOne) == 20s);
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
