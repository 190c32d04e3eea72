// SPDX-License-Identifier: MIT
// The figures of a spool, in the same words in all programs that have one.
#pragma once

#include "core/metrics.h"
#include "spool/spool.h"

namespace fieldpipe::spool {

// Adds what is accepted, queued and finished, and how the disk does.
void add_metrics(Metrics& metrics, Spool& spool);

}  // namespace fieldpipe::spool
