// SPDX-License-Identifier: MIT
// Lines and actions that are refused: all are counted by their reason, and told once a minute.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cli/report.h"
#include "core/clock.h"
#include "core/metrics.h"

namespace fieldpipe::uplink_service {

class Refusals {
 public:
  explicit Refusals(cli::Report& report) : report_(report) {}

  // `reason` is one of a few words, `where` and `what` say more about this one.
  void add(std::string_view reason, std::string_view where, std::string_view what, MonotonicTime now);

  // Tells what came since the last time, where a minute has passed or with `all`.
  void tell(MonotonicTime now, bool all);

  // By reason, for the figures.
  [[nodiscard]] Metrics::Samples samples() const;
  [[nodiscard]] std::uint64_t count() const;

 private:
  struct Reason {
    std::uint64_t count = 0;
    std::uint64_t untold = 0;
    MonotonicTime told{};
    std::string last;  // where and what, of the last one
  };

  cli::Report& report_;
  std::map<std::string, Reason, std::less<>> reasons_;
};

}  // namespace fieldpipe::uplink_service
