// SPDX-License-Identifier: MIT
#include "io/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace {

using fieldpipe::MonotonicTime;
using fieldpipe::io::Descriptor;
using fieldpipe::io::ServiceManager;

// The manager's end, under a name of this process in the abstract namespace.
class Listener {
 public:
  Listener() : name_(fmt::format("@fieldpipe-test-{}", ::getpid())) {
    socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  ~Listener() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  // The next datagram, empty where there is none.
  std::string take() {
    std::array<char, 256> buffer{};
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    return count > 0 ? std::string(buffer.data(), static_cast<std::size_t>(count)) : std::string();
  }

 private:
  std::string name_;
  Descriptor socket_;
};

TEST_CASE("each state is one datagram") {
  Listener listener;
  auto manager = ServiceManager::from_environment();
  manager.ready();
  CHECK(listener.take() == "READY=1");
  manager.status("3 queued");
  CHECK(listener.take() == "STATUS=3 queued");
  manager.status("3 queued");
  CHECK(listener.take().empty());
  manager.status("a\nREADY=1");
  CHECK(listener.take() == "STATUS=a\\nREADY=1");
  manager.stopping();
  CHECK(listener.take() == "STOPPING=1");
  manager.alive();
  CHECK(listener.take().empty());
  CHECK(manager.next() == MonotonicTime::max());
}

TEST_CASE("the watchdog hears of us before its time is over") {
  Listener listener;
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  auto manager = ServiceManager::from_environment();
  CHECK(manager.next() == MonotonicTime{});
  manager.alive();
  CHECK(listener.take() == "WATCHDOG=1");
  CHECK(manager.next() > fieldpipe::monotonic_now() + std::chrono::seconds(10));
  CHECK(manager.next() <= fieldpipe::monotonic_now() + std::chrono::seconds(15));
  manager.alive();
  CHECK(listener.take().empty());
}

TEST_CASE("a watchdog of another process is none of ours") {
  Listener listener;
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  CHECK(ServiceManager::from_environment().next() == MonotonicTime::max());
}

TEST_CASE("without a manager nothing happens") {
  auto manager = ServiceManager::from_environment();
  manager.ready();
  manager.status("x");
  manager.alive();
  ::setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
  ServiceManager::from_environment().ready();
  ::setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
  ServiceManager::from_environment().ready();
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
