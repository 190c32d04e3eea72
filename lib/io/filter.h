// SPDX-License-Identifier: MIT
// The waiting half of a filter: more input, with the output flushed before anything blocks.
#pragma once

#include <functional>
#include <optional>

#include "core/clock.h"
#include "core/result.h"
#include "io/input.h"
#include "io/loop.h"
#include "io/output.h"

namespace fieldpipe::io {

enum class Arrival {
  kData,      // the window of the input has grown
  kEnd,       // the input has ended
  kDeadline,  // nothing came before the deadline
  kStop,      // INT, TERM or HUP asks to stop
};

// Reads more from `in`. Where that would block, `out` is flushed first, and a reader of `out` that
// goes away in the meantime is noticed (kReaderGone), so that a filter on a quiet source ends with
// its pipeline. `settle` is called before that flush, to append what a codec still holds back.
Result<Arrival> await_input(Loop& loop, Input& in, Output& out, std::optional<MonotonicTime> deadline = std::nullopt,
                            const std::function<Result<void>()>& settle = {});

}  // namespace fieldpipe::io
