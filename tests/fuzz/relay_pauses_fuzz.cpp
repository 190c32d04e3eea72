// SPDX-License-Identifier: MIT
// Whatever the file of pauses holds, no pause is negative or longer than a day, and what is read can be written and
// read again.
#include <cstdint>
#include <cstdlib>

#include "core/bytes.h"
#include "relay/pauses.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fieldpipe;
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  const auto pauses = relay::parse_pauses(as_text(std::as_bytes(std::span(data, size))), now);
  if (pauses.size() > relay::kMostPauses) std::abort();
  for (const auto& pause : pauses) {
    if (pause.remaining.count() < 0 || pause.remaining > relay::kLongestPause) std::abort();
  }
  if (relay::parse_pauses(relay::print_pauses(pauses, now), now).size() != pauses.size()) std::abort();
  return 0;
}
