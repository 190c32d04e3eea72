// SPDX-License-Identifier: MIT
#include "io/filter.h"

#include <cerrno>

namespace fieldpipe::io {

Result<Arrival> await_input(Loop& loop, Input& in, Output& out, std::optional<MonotonicTime> deadline,
                            const std::function<Result<void>()>& settle) {
  constexpr MonotonicTime kNow{};
  bool look = true;  // the first turn only asks whether there is input already
  for (;;) {
    loop.watch(in.descriptor(), POLLIN);
    if (!look) loop.watch(out.descriptor(), 0);
    if (auto waited = loop.wait(look ? kNow : deadline); !waited) return fail(std::move(waited));
    if (loop.stop_signal()) return Arrival::kStop;
    if (loop.ready(in.descriptor(), POLLIN)) {
      if (auto read = in.read_more(); !read) return fail(std::move(read));
      return in.at_end() ? Arrival::kEnd : Arrival::kData;
    }
    if (look) {
      if (settle) {
        if (auto settled = settle(); !settled) return fail(std::move(settled));
      }
      if (auto flushed = out.flush(loop); !flushed) return fail(std::move(flushed));
      look = false;
      continue;
    }
    if (loop.ready(out.descriptor(), 0)) return tl::make_unexpected(system_error("stdout", EPIPE));
    if (deadline && monotonic_now() >= *deadline) return Arrival::kDeadline;
  }
}

}  // namespace fieldpipe::io
