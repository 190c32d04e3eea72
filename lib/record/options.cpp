// SPDX-License-Identifier: MIT
#include "record/options.h"

namespace fieldpipe::record {

void declare(cli::OptionTable& table, RecordOptions& options) {
  table.size("max-record", options.max_record_bytes, 1, std::size_t{1} << 30U, "refuse a longer record");
}

}  // namespace fieldpipe::record
