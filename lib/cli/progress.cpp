// SPDX-License-Identifier: MIT
#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace fieldpipe::cli {
namespace {

constexpr std::size_t kBarCharacters = 30;

}  // namespace

void declare(OptionTable& table, ProgressForm& form) {
  table.choice("progress", "FORM", form, {{"auto", ProgressForm::kAuto}, {"json", ProgressForm::kJson}},
               "how progress shows on stderr; auto is a bar on a terminal");
}

void Progress::show(std::string_view step, std::uint64_t done, std::uint64_t total) {
  if (form_ == ProgressForm::kAuto && !report_.shows_progress()) return;
  const MonotonicTime now = monotonic_now();
  const bool is_new = step != step_;
  if (is_new) {
    step_ = step;
    started_ = now;
    first_done_ = done;
  }
  if (form_ == ProgressForm::kJson) {
    const bool is_last = total > 0 && done >= total && done != last_done_;
    if (!is_new && !is_last && now < next_) return;
    next_ = now + Report::kProgressInterval;
    last_done_ = done;
    const std::string line = fmt::format(R"({{"progress":{{"step":"{}","done":{},"total":{}}}}})"
                                         "\n",
                                         step, done, total);
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    return;
  }
  if (total == 0) return report_.progress(step);
  const double share = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  const double seconds = std::chrono::duration<double>(now - started_).count();
  const double rate = seconds > 0 ? static_cast<double>(done - std::min(done, first_done_)) / seconds : 0;
  std::string bar(static_cast<std::size_t>(share * kBarCharacters), '#');
  bar.resize(kBarCharacters, '.');
  report_.progress(fmt::format("{} [{}] {:.0f} %, {:.1f} kB/s", step, bar, share * 100, rate / 1000));
}

}  // namespace fieldpipe::cli
