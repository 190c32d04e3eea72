// SPDX-License-Identifier: MIT
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "relay/pauses.h"

namespace fieldpipe::relay {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kWritten{std::chrono::seconds(1'700'000'000)};
const std::vector<Pause> kPauses{{0x0123456789ABCDEF, Verdict::kRate, 3, false, 90s},
                                 {7, Verdict::kEndpoint, 1, true, 1500ms}};
constexpr std::string_view kText =
    "pauses 1 1700000000000000000\n0123456789abcdef rate 3 0 90000\n0000000000000007 endpoint 1 1 1500\n";

std::vector<std::chrono::nanoseconds> remaining(std::string_view text, WallTime now) {
  std::vector<std::chrono::nanoseconds> result;
  for (const Pause& pause : parse_pauses(text, now)) result.push_back(pause.remaining);
  return result;
}

TEST_CASE("pauses are written and read") {
  CHECK(print_pauses(kPauses, kWritten) == kText);
  const auto pauses = parse_pauses(kText, kWritten);
  REQUIRE(pauses.size() == 2);
  CHECK(pauses[0].id == 0x0123456789ABCDEF);
  CHECK(pauses[0].failure == Verdict::kRate);
  CHECK(pauses[0].failures == 3);
  CHECK_FALSE(pauses[0].breaker);
  CHECK(pauses[1].breaker);
}

TEST_CASE("what has passed counts, whatever the clock did meanwhile") {
  using Remaining = std::vector<std::chrono::nanoseconds>;
  CHECK(remaining(kText, kWritten) == Remaining{90s, 1500ms});
  CHECK(remaining(kText, kWritten + 1s) == Remaining{89s, 500ms});
  CHECK(remaining(kText, kWritten + 2s) == Remaining{88s, 0s});
  CHECK(remaining(kText, kWritten - 10 * 365 * 24h) == Remaining{90s, 1500ms});
  CHECK(remaining(kText, kWritten + 10 * 365 * 24h) == Remaining{0s, 0s});
  CHECK(remaining(kText, WallTime::min()) == Remaining{90s, 1500ms});
  CHECK(remaining(kText, WallTime::max()) == Remaining{0s, 0s});
  CHECK(remaining("pauses 1 0\n1 rate 1 0 9223372036854775807\n", WallTime{}) == Remaining{24h});
  CHECK(remaining("pauses 1 0\n1 rate 1 0 -9223372036854775808\n", WallTime{}) == Remaining{0s});
  CHECK(remaining("pauses 1 -9223372036854775808\n1 rate 1 0 1000\n", WallTime::max()) == Remaining{0s});
}

TEST_CASE("lines that are no pauses are left out, and other texts are not believed") {
  CHECK(parse_pauses("", kWritten).empty());
  CHECK(parse_pauses("pauses 2 1700000000000000000\n1 rate 1 0 1\n", kWritten).empty());
  CHECK(parse_pauses("pauses 1 x\n1 rate 1 0 1\n", kWritten).empty());
  for (const std::string_view line : {"", "1", "g rate 1 0 1", "1 record 1 0 1", "1 rate -1 0 1", "1 rate 1 2 1",
                                      "1 rate 1 0", "1 rate 1 0 1 1", "1  rate 1 0 1", "1 rate 4294967296 0 1"}) {
    CAPTURE(line);
    CHECK(parse_pauses(fmt::format("pauses 1 1\n{}\n2 rate 1 0 1\n", line), WallTime{}).size() == 1);
  }
}

TEST_CASE("a text cut anywhere gives no pause that was not there") {
  for (std::size_t cut = 0; cut < kText.size(); ++cut) {
    for (const Pause& pause : parse_pauses(kText.substr(0, cut), kWritten)) {
      CHECK((pause.id == kPauses[0].id || pause.id == kPauses[1].id));
      CHECK(pause.remaining <= 90s);
    }
  }
}

TEST_CASE("no more pauses than there is room for") {
  const std::vector<Pause> many(kMostPauses + 10, kPauses[0]);
  const std::string text = print_pauses(many, kWritten);
  CHECK(text.size() < kMostPausesBytes);
  CHECK(parse_pauses(text + "1 rate 1 0 1\n", kWritten).size() == kMostPauses);
}

}  // namespace
}  // namespace fieldpipe::relay
