// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>

#include <doctest/doctest.h>

#include "core/metrics.h"

namespace fieldpipe {
namespace {

Metrics example() {
  Metrics metrics;
  metrics.counter("accepted_total", "records taken in", 18'000'000'000);
  metrics.gauge("oldest_record_seconds", "age of the oldest record", 1.5);
  metrics.counters("http_status_total", "answers by status", "code", {{"202", 7}, {"50\"3\\\n", 1}});
  metrics.gauges("paused_lanes", "lanes that wait", "class", {});
  constexpr std::array kBounds{0.001, 0.5};
  constexpr std::array<std::uint64_t, 3> kCounts{4, 0, 2};
  metrics.histogram("fsync_seconds", "how long syncs take", kBounds, kCounts, 3.25);
  return metrics;
}

TEST_CASE("metrics as Prometheus reads them") {
  CHECK(example().print("tool_") == R"(# HELP tool_accepted_total records taken in
# TYPE tool_accepted_total counter
tool_accepted_total 18000000000
# HELP tool_oldest_record_seconds age of the oldest record
# TYPE tool_oldest_record_seconds gauge
tool_oldest_record_seconds 1.5
# HELP tool_http_status_total answers by status
# TYPE tool_http_status_total counter
tool_http_status_total{code="202"} 7
tool_http_status_total{code="50\"3\\\n"} 1
# HELP tool_paused_lanes lanes that wait
# TYPE tool_paused_lanes gauge
# HELP tool_fsync_seconds how long syncs take
# TYPE tool_fsync_seconds histogram
tool_fsync_seconds_bucket{le="0.001"} 4
tool_fsync_seconds_bucket{le="0.5"} 4
tool_fsync_seconds_bucket{le="+Inf"} 6
tool_fsync_seconds_sum 3.25
tool_fsync_seconds_count 6
)");
}

TEST_CASE("metrics as JSON") {
  CHECK(example().print_json() ==
        R"({"accepted_total":18000000000,"oldest_record_seconds":1.5,"http_status_total":{"202":7,"50\"3\\\n":1},)"
        R"("paused_lanes":{},"fsync_seconds":{"sum":3.25,"count":6}})");
  CHECK(Metrics().print_json() == "{}");
}

}  // namespace
}  // namespace fieldpipe
