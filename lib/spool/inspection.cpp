// SPDX-License-Identifier: MIT
#include "spool/inspection.h"

#include <utility>

#include "core/bytes.h"
#include "spool/directory.h"

namespace fieldpipe::spool {

Result<Inspection> inspect(const std::string& path, const std::function<void(const Inspected&)>& visit) {
  auto directory = Directory::open(path, false);
  if (!directory) return fail(std::move(directory));
  auto index = load(*directory);
  if (!index) return fail(std::move(index));
  Inspection inspection;
  Statistics& statistics = inspection.statistics;
  std::string bytes;
  for (const auto& [number, segment] : index->segments) {
    statistics.queued += segment.unfinished;
    statistics.bytes += segment.size_bytes;
    const auto file = directory->open_file(segment_name(number), false);
    if (!file || !read_at(*file, 0, segment.size_bytes, bytes)) continue;
    SegmentScanner scanner(as_bytes(bytes), segment.seed);
    while (const auto found = scanner.next()) {
      Lane& lane = index->lanes[std::string(found->record.lane)];
      const auto entry = lane.find(found->record.sequence);
      const bool known = entry != lane.entries.end() && entry->sequence == found->record.sequence;
      if (known && (entry->segment != number || entry->offset != found->offset)) continue;  // it was copied
      visit({found->record, number, found->offset, !known || entry->finished != 0});
    }
  }
  const Totals& totals = index->progress.totals;
  statistics.delivered = totals.delivered;
  statistics.dead_lettered = totals.dead_lettered;
  statistics.dropped = totals.dropped;
  statistics.damaged = totals.damaged;
  statistics.accepted = statistics.queued + totals.sum();
  statistics.segments = index->segments.size();
  statistics.foreign_segments = index->foreign + index->unreadable;
  for (const auto& damage : index->damage) statistics.quarantined_bytes += damage.bytes.end - damage.bytes.begin;
  inspection.damage = std::move(index->damage);
  return inspection;
}

}  // namespace fieldpipe::spool
