// SPDX-License-Identifier: MIT
#include "io/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::io {

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  const char* const address = std::getenv("NOTIFY_SOCKET");
  if (address == nullptr || (*address != '/' && *address != '@')) return manager;
  manager.address_ = address;
  if (manager.address_.size() >= sizeof(sockaddr_un::sun_path)) return manager;
  if (manager.address_.front() == '@') manager.address_.front() = '\0';
  manager.socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const char* const limit = std::getenv("WATCHDOG_USEC");
  const char* const process = std::getenv("WATCHDOG_PID");
  const bool ours = process == nullptr || parse_integer<pid_t>(process) == ::getpid();
  if (const auto value = parse_integer<std::uint32_t>(limit != nullptr ? limit : ""); value && *value > 0 && ours) {
    manager.watchdog_ = std::chrono::microseconds(*value);
    manager.next_ = MonotonicTime{};
  }
  return manager;
}

void ServiceManager::status(std::string_view text) {
  if (!socket_ || status_ == text) return;
  status_ = text;
  send(fmt::format("STATUS={}", printable(text, std::string_view::npos)));
}

void ServiceManager::alive() {
  const MonotonicTime now = monotonic_now();
  if (!watchdog_ || now < next_) return;
  // A quarter of the limit leaves room for a turn that takes long.
  next_ = now + *watchdog_ / 4;
  send("WATCHDOG=1");
}

void ServiceManager::send(std::string_view text) const {
  if (!socket_) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  [[maybe_unused]] const ssize_t sent =
      ::sendto(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
}

}  // namespace fieldpipe::io
