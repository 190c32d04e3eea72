// SPDX-License-Identifier: MIT
// Records cut from one window are those cut from a window that grows byte by byte, and framed records
// come back as they were.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "record/framing.h"

namespace {

using fieldpipe::Bytes;
using fieldpipe::record::Framing;
using fieldpipe::record::Splitter;

struct Outcome {
  std::vector<std::string> records;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome split(Framing framing, Bytes input, bool bytewise) {
  Outcome outcome;
  Splitter splitter(framing, 1000);
  std::size_t begin = 0;
  std::size_t end = bytewise ? 0 : input.size();
  for (;;) {
    const bool at_end = end == input.size();
    const auto step = splitter.next(input.subspan(begin, end - begin), at_end);
    if (!step) return outcome.error = step.error().what, outcome;
    if (step->record) {
      outcome.records.emplace_back(fieldpipe::as_text(*step->record));
      begin += step->used_bytes;
    } else if (at_end) {
      return outcome;
    } else {
      ++end;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto framing = static_cast<Framing>(data[0] % 7);
  const Bytes input = std::as_bytes(std::span(data, size)).subspan(1);
  const Outcome whole = split(framing, input, false);
  const Outcome grown = split(framing, input, true);
  if (whole.records != grown.records || whole.error.empty() != grown.error.empty()) std::abort();

  std::string framed;
  for (const std::string& record : whole.records) {
    if (!append_record(framed, Framing::kFrames, fieldpipe::as_bytes(record))) std::abort();
  }
  if (split(Framing::kFrames, fieldpipe::as_bytes(framed), false) != Outcome{whole.records, {}}) std::abort();
  return 0;
}
