// SPDX-License-Identifier: MIT
// The option that bounds a record.
#pragma once

#include <cstddef>

#include "cli/option_table.h"
#include "record/framing.h"

namespace fieldpipe::record {

struct RecordOptions {
  std::size_t max_record_bytes = kDefaultMaxRecordBytes;
};

// Declares --max-record.
void declare(cli::OptionTable& table, RecordOptions& options);

}  // namespace fieldpipe::record
