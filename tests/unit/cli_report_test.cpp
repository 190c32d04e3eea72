// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

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

namespace {

// stderr as a terminal, for as long as it lives.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)), before_(::dup(STDERR_FILENO)) {
    REQUIRE(master_ >= 0);
    REQUIRE(::grantpt(master_) == 0);
    REQUIRE(::unlockpt(master_) == 0);
    const int slave = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    REQUIRE(::dup2(slave, STDERR_FILENO) >= 0);
    ::close(slave);
  }
  ~Terminal() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    ::close(master_);
  }
  std::string take() {
    std::array<char, 512> buffer{};
    const ssize_t count = ::read(master_, buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(count)};
  }

 private:
  int master_;
  int before_;
};

}  // namespace

TEST_CASE("progress is one line of a terminal, and gives way to messages") {
  Terminal terminal;
  Report report("tool");
  CHECK(report.shows_progress());
  report.progress("1 of 2");
  CHECK(terminal.take() == "\rtool: 1 of 2\x1b[K");
  report.progress("2 of 2");  // too soon
  report.warn("a message");
  CHECK(terminal.take() == "\r\x1b[Ktool: a message\r\n");
  report.warn("another");
  CHECK(terminal.take() == "tool: another\r\n");
  report.set_quiet(true);
  CHECK_FALSE(report.shows_progress());
}

TEST_CASE("progress is for terminals") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  Report report("tool");
  CHECK_FALSE(report.shows_progress());
  report.progress("1 of 2");
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  ::close(ends[1]);
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
}
