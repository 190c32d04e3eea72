// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>

#include <doctest/doctest.h>

#include "io/loop.h"

using namespace fieldpipe;
using namespace std::chrono_literals;

namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reader = io::Descriptor(ends[0]);
    writer = io::Descriptor(ends[1]);
  }
  io::Descriptor reader;
  io::Descriptor writer;
};

// Runs `body` in a process of its own, since signals and their masks are a process's; its status.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

constexpr MonotonicTime kNow{};

}  // namespace

TEST_CASE("a wait finds what is ready and forgets what was watched") {
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  Pipe pipe;
  loop->watch(pipe.reader.get(), POLLIN);
  loop->watch(pipe.writer.get(), POLLOUT);
  loop->watch(-1, POLLIN);
  REQUIRE(loop->wait(std::nullopt));
  CHECK_FALSE(loop->ready(pipe.reader.get(), POLLIN));
  CHECK(loop->ready(pipe.writer.get(), POLLOUT));
  CHECK_FALSE(loop->ready(-1, POLLIN));

  REQUIRE(::write(pipe.writer.get(), "x", 1) == 1);
  REQUIRE(loop->wait(kNow));
  CHECK_FALSE(loop->ready(pipe.reader.get(), POLLIN));
  loop->watch(pipe.reader.get(), POLLIN);
  REQUIRE(loop->wait(std::nullopt));
  CHECK(loop->ready(pipe.reader.get(), POLLIN));
}

TEST_CASE("a hang-up is ready for anything") {
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  Pipe pipe;
  REQUIRE(pipe.reader.close());
  loop->watch(pipe.writer.get(), 0);
  REQUIRE(loop->wait(std::nullopt));
  CHECK(loop->ready(pipe.writer.get(), 0));
}

TEST_CASE("a deadline has passed when a wait returns because of it") {
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  const Pipe pipe;
  const MonotonicTime deadline = monotonic_now() + 3ms;
  loop->watch(pipe.reader.get(), POLLIN);
  REQUIRE(loop->wait(deadline));
  CHECK(monotonic_now() >= deadline);
  CHECK_FALSE(loop->ready(pipe.reader.get(), POLLIN));
  CHECK_FALSE(loop->stop_signal());
}

TEST_CASE("a stop signal is a value and ends every wait") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const int status = in_child([signal] {
      auto loop = io::Loop::create(10s);
      std::raise(signal);
      if (!loop || !loop->wait(std::nullopt)) return 1;
      return loop->stop_signal() == signal ? 0 : 2;
    });
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("a second INT or TERM ends the process at once") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const int status = in_child([signal] {
      auto loop = io::Loop::create(10s);
      std::raise(SIGTERM);
      if (!loop || !loop->wait(std::nullopt)) return 1;
      std::raise(signal);
      return 0;
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
  }
}

TEST_CASE("after a stop signal waiting is bounded") {
  const int status = in_child([] {
    auto loop = io::Loop::create(20ms);
    std::raise(SIGTERM);
    if (!loop || !loop->wait(std::nullopt)) return 1;
    const auto waited = loop->wait(std::nullopt);
    if (waited || waited.error().code != ErrorCode::kUnavailable) return 2;
    return waited.error().what == "stopping took longer than 20ms" && waited.error().hint == "--stop-timeout" ? 0 : 3;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a signal that was ignored at start stays ignored") {
  const int status = in_child([] {
    std::signal(SIGHUP, SIG_IGN);
    auto loop = io::Loop::create(10s);
    std::raise(SIGHUP);
    if (!loop || !loop->wait(kNow)) return 1;
    return loop->stop_signal() ? 2 : 0;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("USR1 asks for a report, once, where reports were asked for") {
  const int status = in_child([] {
    auto loop = io::Loop::create(10s, true);
    std::raise(SIGUSR1);
    if (!loop || !loop->wait(std::nullopt)) return 1;
    if (!loop->take_report_request()) return 2;
    return loop->take_report_request() || loop->stop_signal() ? 3 : 0;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  const int unasked = in_child([] {
    auto loop = io::Loop::create(10s);
    std::raise(SIGUSR1);
    return 0;
  });
  CHECK(WIFSIGNALED(unasked));
}

TEST_CASE("HUP asks a service to reload, and stops everything else") {
  const int status = in_child([] {
    auto loop = io::Loop::create(10s, false, true);
    std::raise(SIGHUP);
    if (!loop || !loop->wait(std::nullopt)) return 1;
    if (!loop->take_reload_request()) return 2;
    return loop->take_reload_request() || loop->stop_signal() ? 3 : 0;
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
