// SPDX-License-Identifier: MIT
// What is read out of arbitrary segments and acknowledgement files encodes to the bytes it was read from.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "spool/dead_letters.h"
#include "spool/format.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file = std::as_bytes(std::span(data, size));
  spool::SegmentHeader header;
  spool::decode_segment_header(file, header);
  const std::uint32_t seed = spool::record_seed(header.id, header.number);
  spool::SegmentScanner scanner(file, seed);
  std::size_t end = spool::kSegmentHeaderBytes;
  while (const auto found = scanner.next()) {
    std::string bytes;
    spool::append_record(bytes, seed, found->record);
    if (found->offset < end || bytes.size() != found->size_bytes) std::abort();
    // Two bytes of the header are reserved, and may be anything in a file made by hand.
    if (bytes.substr(16) != as_text(file.subspan(found->offset + 16, bytes.size() - 16))) std::abort();
    end = found->offset + found->size_bytes;
    if (const auto letter = spool::decode_dead_letter(found->record.payload)) {
      bytes.clear();
      spool::append_dead_letter(bytes, *letter);
      if (bytes != as_text(found->record.payload)) std::abort();
    }
  }
  if (const auto progress = spool::decode_progress(file)) {
    if (progress->end > file.size()) std::abort();
    for (const spool::Range& range : progress->ranges) {
      if (range.lane.data() + range.lane.size() > as_text(file).data() + file.size()) std::abort();
    }
  }
  return 0;
}
