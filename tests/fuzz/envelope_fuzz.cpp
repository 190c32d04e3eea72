// SPDX-License-Identifier: MIT
// An envelope that is parsed is printed and parsed to the same; any bytes are carried as a payload.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "record/envelope.h"

using namespace fieldpipe;

namespace {

void must_come_back(json::Reader& reader, const record::Envelope& envelope) {
  std::string line;
  record::append_envelope(reader, line, envelope);
  if (line.find('\n') != std::string::npos) std::abort();
  const auto back = record::parse_envelope(reader, line);
  if (!back || *back != envelope) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static json::Reader reader;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto envelope = record::parse_envelope(reader, text)) must_come_back(reader, *envelope);
  record::Envelope carrier;
  carrier.payload = text;
  must_come_back(reader, carrier);
  return 0;
}
