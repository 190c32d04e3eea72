// SPDX-License-Identifier: MIT
#include <array>

#include <doctest/doctest.h>

#include "cli/report.h"

using namespace fieldpipe;
using cli::ExitStatus;
using cli::Report;

TEST_CASE("each kind of failure has its status") {
  const std::array<std::pair<ErrorCode, int>, 10> statuses{{{ErrorCode::kUsage, 64},
                                                            {ErrorCode::kBadData, 65},
                                                            {ErrorCode::kNoInput, 66},
                                                            {ErrorCode::kRefused, 69},
                                                            {ErrorCode::kBug, 70},
                                                            {ErrorCode::kIo, 74},
                                                            {ErrorCode::kUnavailable, 75},
                                                            {ErrorCode::kDenied, 77},
                                                            {ErrorCode::kConfig, 78},
                                                            {ErrorCode::kReaderGone, 0}}};
  for (const auto& [code, status] : statuses) {
    Report report("unit test, expected");
    report.fail({code, "a failure", {}, {}});
    CHECK(static_cast<int>(report.status()) == status);
  }
  CHECK(Report("a").status() == ExitStatus::kOk);
}

TEST_CASE("when several statuses hold, the one to act on first wins, in any order") {
  const std::array strongest_first{ErrorCode::kBug,     ErrorCode::kUsage,       ErrorCode::kIo,
                                   ErrorCode::kConfig,  ErrorCode::kNoInput,     ErrorCode::kDenied,
                                   ErrorCode::kRefused, ErrorCode::kUnavailable, ErrorCode::kBadData};
  for (std::size_t i = 0; i + 1 < strongest_first.size(); ++i) {
    Report alone("unit test, expected");
    alone.fail({strongest_first[i], "a failure", {}, {}});
    Report down("unit test, expected");
    Report up("unit test, expected");
    down.fail({strongest_first[i], "a failure", {}, {}});
    down.fail({strongest_first[i + 1], "a failure", {}, {}});
    up.fail({strongest_first[i + 1], "a failure", {}, {}});
    up.fail({strongest_first[i], "a failure", {}, {}});
    CHECK(down.status() == alone.status());
    CHECK(up.status() == alone.status());
  }
  Report report("unit test, expected");
  report.partial("something was skipped");
  CHECK(report.status() == ExitStatus::kPartial);
  report.fail({ErrorCode::kBadData, "a failure", {}, {}});
  report.partial("something was skipped");
  CHECK(report.status() == ExitStatus::kBadData);
}
