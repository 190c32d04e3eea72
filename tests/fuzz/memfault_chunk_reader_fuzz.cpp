// SPDX-License-Identifier: MIT
// Chunks read from one window are those read from a window that grows byte by byte, and no identity passes that could
// mean something in a URL, a header or a file name.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "memfault/chunk_reader.h"
#include "memfault/identity.h"

namespace {

using namespace fieldpipe;
using namespace fieldpipe::memfault;

struct Outcome {
  std::vector<std::string> records;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome read(ChunkForm form, bool whole_records, Bytes input, bool bytewise) {
  Outcome outcome;
  ChunkReader reader({.form = form, .whole_records = whole_records, .max_record_bytes = 100});
  std::size_t begin = 0;
  std::size_t end = bytewise ? 0 : input.size();
  for (;;) {
    const bool at_end = end == input.size();
    const auto step = reader.next(input.subspan(begin, end - begin), at_end);
    if (!step) return outcome.error = step.error().what, outcome;
    begin += step->used_bytes;
    if (begin > end) std::abort();
    if (const ChunkRecord* const record = step->record) {
      if (record->refused() != record->chunk.empty() || record->chunk.size() > 100) std::abort();
      if (!record->device.empty() && !check_device(record->device)) std::abort();
      if (!record->project_key.empty() && !check_project_key(record->project_key)) std::abort();
      outcome.records.push_back(std::to_string(record->line) + " " + record->refusal + " " +
                                std::string(record->device) + " " + std::string(as_text(record->chunk)));
    } else if (at_end) {
      if (begin != end && reader.form() != ChunkForm::kAuto && reader.form() != ChunkForm::kWhole) std::abort();
      return outcome;
    } else {
      ++end;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto form = static_cast<ChunkForm>(data[0] % 9);
  const bool whole_records = data[0] >= 128;
  const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
  const Outcome whole = read(form, whole_records, input, false);
  const Outcome grown = read(form, whole_records, input, true);
  if (whole.records != grown.records || whole.error.empty() != grown.error.empty()) std::abort();
  return 0;
}
