// SPDX-License-Identifier: MIT
#include "can/frame_reader.h"

#include "core/text.h"

namespace fieldpipe::can {

std::string_view FrameReader::begin(std::string_view text) {
  text = strip_bom(text);
  if (trimmed(text).empty()) return text;
  first_ = false;
  if (AscParser::is_header(text)) asc_.emplace();
  return text;
}

Result<void> FrameReader::refuse(std::uint64_t number) {
  const CandumpFault& fault = line_.fault;
  std::string reason(fault.reason);
  if (!fault.text.empty()) reason += fmt::format(": '{}'", printable(fault.text));
  if (!fault.hint.empty()) reason += fmt::format(" ({})", fault.hint);
  return faults_.add(number, reason);
}

Result<std::int64_t> FrameReader::of_other_base(std::int64_t arrival_ns) {
  // An ASC file without a date counts from its start, and says so.
  if (asc_ && line_.time_base == TimeBase::kRelative && options_.times.base_ns) {
    return *options_.times.base_ns + line_.time_ns;
  }
  return time_.of(line_, arrival_ns);
}

}  // namespace fieldpipe::can
