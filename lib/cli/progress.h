// SPDX-License-Identifier: MIT
// How far long work with a known end has got: a bar on a terminal, or JSON lines on stderr for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/option_table.h"
#include "cli/report.h"
#include "core/clock.h"

namespace fieldpipe::cli {

enum class ProgressForm : std::uint8_t {
  kAuto,  // a bar where stderr is a terminal, nothing elsewhere
  kJson,  // `{"progress":{"step":"upload","done":1024,"total":4096}}` a line, a few a second
};

// Declares --progress.
void declare(OptionTable& table, ProgressForm& form);

// Shows one step after another.
class Progress {
 public:
  Progress(ProgressForm form, Report& report) : form_(form), report_(report) {}

  // `done` of `total` of this step, as often as the caller likes. Begin and end of a step are always told in JSON. A
  // total of 0 is a step whose length is not known.
  void show(std::string_view step, std::uint64_t done, std::uint64_t total);

 private:
  ProgressForm form_;
  Report& report_;
  std::string step_;
  std::uint64_t first_done_ = 0;
  std::uint64_t last_done_ = 0;
  MonotonicTime started_{};
  MonotonicTime next_{};
};

}  // namespace fieldpipe::cli
