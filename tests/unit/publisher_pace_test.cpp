// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "publisher/pace.h"

namespace fieldpipe::publisher {
namespace {

using std::chrono::milliseconds;

constexpr MonotonicTime kStart{std::chrono::hours(1)};

// Messages that go within `length` when there is always one.
int sent_within(Pace& pace, MonotonicTime from, milliseconds length) {
  int sent = 0;
  for (MonotonicTime now = from; now < from + length; now += milliseconds(1)) {
    while (now >= pace.next()) {
      pace.spend(now);
      ++sent;
    }
  }
  return sent;
}

TEST_CASE("messages go at the rate, with no more than a tenth of a second made good") {
  Pace pace(100);
  CHECK(sent_within(pace, kStart, milliseconds(1000)) == 110);
  CHECK(sent_within(pace, kStart + milliseconds(1000), milliseconds(1000)) == 100);
  // After a minute without input the same tenth of a second, not a minute's worth.
  CHECK(sent_within(pace, kStart + milliseconds(60000), milliseconds(1000)) == 110);
}

TEST_CASE("without a rate every message may go at once") {
  Pace pace(0);
  pace.spend(kStart);
  CHECK(pace.next() <= kStart);
}

}  // namespace
}  // namespace fieldpipe::publisher
