// SPDX-License-Identifier: MIT
#include "spool/metrics.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace fieldpipe::spool {
namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void add_metrics(Metrics& metrics, Spool& spool) {
  const Statistics statistics = spool.statistics();
  metrics.counter("accepted_total", "records accepted since the spool was made", statistics.accepted);
  metrics.counter("delivered_total", "of these, delivered", statistics.delivered);
  metrics.counter("dead_lettered_total", "of these, set aside and kept", statistics.dead_lettered);
  metrics.counter("dropped_total", "of these, dropped as the settings say", statistics.dropped);
  metrics.counter("damaged_total", "of these, not given back by the disk", statistics.damaged);
  metrics.gauge("queued_records", "of these, waiting", static_cast<double>(statistics.queued));
  metrics.gauge("in_flight_records", "of these, on their way", static_cast<double>(statistics.in_flight));
  metrics.gauge("queued_bytes", "bytes of what waits or is on its way", static_cast<double>(statistics.queued_bytes));
  const auto oldest = spool.oldest();
  const auto age = oldest ? std::max<std::chrono::nanoseconds>(wall_now() - *oldest, {}) : std::chrono::nanoseconds(0);
  metrics.gauge("oldest_record_seconds", "age of the oldest of these, as the clock has it", seconds(age));
  metrics.counter("recovered_records_total", "records found at the start", statistics.recovered);
  metrics.counter("refused_records_total", "records for which there was no room", statistics.refused);
  metrics.counter("expired_total", "records dropped because of their age", statistics.expired);
  metrics.gauge("spool_bytes", "bytes that the spool takes on the disk", static_cast<double>(statistics.bytes));
  if (const auto free = spool.free_bytes()) {
    metrics.gauge("spool_free_bytes", "bytes that the disk has left", static_cast<double>(*free));
  }
  metrics.gauge("spool_full", "1 while nothing more is accepted", spool.full() ? 1 : 0);
  metrics.counter("fsync_total", "syncs of records", statistics.syncs);
  metrics.counter("fsync_errors_total", "syncs that failed", statistics.sync_errors);
  metrics.counter("write_errors_total", "writes and other calls to the disk that failed", statistics.write_errors);
  std::array<double, kSyncBounds.size()> bounds{};
  std::transform(kSyncBounds.begin(), kSyncBounds.end(), bounds.begin(), seconds);
  metrics.histogram("fsync_seconds", "how long syncs of records took", bounds, statistics.sync_counts,
                    seconds(statistics.sync_time));
  metrics.counter("quarantined_bytes_total", "damaged bytes found at the start", statistics.quarantined_bytes);
}

}  // namespace fieldpipe::spool
