// SPDX-License-Identifier: MIT
#include "io/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::io {
namespace {

constexpr std::chrono::seconds kRest{1};

constexpr int kBacklog = 128;

constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un{}.sun_path) - 1;

std::string reason(int error_number) { return std::generic_category().message(error_number); }

bool would_block(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

SocketAddress unix_address(std::string_view path) {
  SocketAddress address;
  sockaddr_un& to = reinterpret_cast<sockaddr_un&>(address.storage);
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.data(), std::min(path.size(), kMaxPathBytes));
  address.size = sizeof(to);
  return address;
}

const sockaddr* as_sockaddr(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr*>(&address.storage);
}

std::uint16_t* port_of(SocketAddress& address) {
  switch (address.storage.ss_family) {
    case AF_INET: return &reinterpret_cast<sockaddr_in&>(address.storage).sin_port;
    case AF_INET6: return &reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port;
    default: return nullptr;
  }
}

// Appends what getaddrinfo says; gives its error number.
int look_up(const std::string& host, std::uint16_t port, int type, int flags, std::vector<SocketAddress>& to) {
  addrinfo hints{};
  hints.ai_socktype = type;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return error;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress& address = to.emplace_back();
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.size = entry->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return 0;
}

// The addresses that need no look-up; none for a name.
std::vector<SocketAddress> known_addresses(const Endpoint& endpoint, int type) {
  std::vector<SocketAddress> addresses;
  if (!endpoint.path.empty()) {
    addresses.push_back(unix_address(endpoint.path));
  } else if (endpoint.host.empty()) {
    for (const char* loopback : {"127.0.0.1", "::1"}) look_up(loopback, endpoint.port, type, AI_NUMERICHOST, addresses);
  } else {
    look_up(endpoint.host, endpoint.port, type, AI_NUMERICHOST, addresses);
  }
  return addresses;
}

void hold_nothing_back(const Descriptor& socket, int family) {
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

Error broken(std::string_view action, int error_number) {
  return {ErrorCode::kUnavailable, fmt::format("{}: {}", action, reason(error_number)), {}, std::nullopt};
}

// Whether the socket file `address` has nobody behind it.
bool is_abandoned(const SocketAddress& address) {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.get(), as_sockaddr(address), address.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kForms = "HOST:PORT, :PORT or unix:PATH";
  Endpoint endpoint;
  if (text.starts_with(kUnix)) {
    endpoint.path = text.substr(kUnix.size());
    if (endpoint.path.empty()) return fail(ErrorCode::kUsage, "unix: without a path");
    if (endpoint.path.size() > kMaxPathBytes) {
      return fail(ErrorCode::kUsage, fmt::format("'{}' has {} bytes, a socket's path at most {}",
                                                 printable(endpoint.path), endpoint.path.size(), kMaxPathBytes));
    }
    if (endpoint.path.find('\0') != std::string::npos) return fail(ErrorCode::kUsage, "path holds a NUL byte");
    return endpoint;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' has no port", printable(text)), std::string(kForms));
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is an address of IPv6 without brackets", printable(text)),
                "[ADDRESS]:PORT");
  }
  if (host.find('\0') != std::string_view::npos) return fail(ErrorCode::kUsage, "host holds a NUL byte");
  const auto port = parse_integer<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) {
    return fail(ErrorCode::kUsage,
                fmt::format("port '{}' is not a number from 1 to 65535", printable(text.substr(colon + 1))),
                std::string(kForms));
  }
  endpoint.host = host;
  endpoint.port = *port;
  return endpoint;
}

std::string print_endpoint(const Endpoint& endpoint) {
  if (!endpoint.path.empty()) return "unix:" + endpoint.path;
  if (endpoint.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", endpoint.host, endpoint.port);
  return fmt::format("{}:{}", endpoint.host.empty() ? "127.0.0.1" : endpoint.host, endpoint.port);
}

// What the thread and its asker have in common; the last of them frees it.
struct Lookup::Shared {
  Endpoint endpoint;
  int type = 0;
  Descriptor done;  // an eventfd; none when the answer needs no thread
  std::atomic<bool> answered{false};
  int error = 0;
  std::vector<SocketAddress> addresses;
};

Lookup::Lookup(const Endpoint& endpoint, int type) : shared_(std::make_shared<Shared>()) {
  shared_->endpoint = endpoint;
  shared_->type = type;
  shared_->addresses = known_addresses(endpoint, type);
  if (!shared_->addresses.empty()) {
    shared_->answered = true;
    return;
  }
  shared_->done = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::thread([shared = shared_] {
    shared->error =
        look_up(shared->endpoint.host, shared->endpoint.port, shared->type, AI_ADDRCONFIG, shared->addresses);
    shared->answered = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t told = ::write(shared->done.get(), &one, sizeof(one));
  }).detach();
}

int Lookup::descriptor() const { return shared_->done.get(); }

Result<std::optional<std::vector<SocketAddress>>> Lookup::answer() const {
  if (!shared_->answered) return std::optional<std::vector<SocketAddress>>();
  if (shared_->error != 0) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("{}: {}", printable(shared_->endpoint.host), ::gai_strerror(shared_->error)));
  }
  return std::optional(shared_->addresses);
}

Connector::Connector(Endpoint endpoint, std::chrono::nanoseconds timeout, int type)
    : endpoint_(std::move(endpoint)), timeout_(timeout), type_(type) {}

void Connector::start() {
  lookup_.emplace(endpoint_, type_);
  addresses_.reset();
  next_address_ = 0;
  connecting_ = Descriptor();
  last_failure_.clear();
  deadline_ = monotonic_now() + timeout_;
}

void Connector::watch(Loop& loop) const {
  if (!active()) return;
  if (connecting_) return loop.watch(connecting_.get(), POLLOUT);
  loop.watch(lookup_->descriptor(), POLLIN);
}

tl::unexpected<Error> Connector::give_up(std::string why) {
  lookup_.reset();
  connecting_ = Descriptor();
  return fail(ErrorCode::kUnavailable, std::move(why));
}

Result<Descriptor> Connector::advance() {
  if (!active()) return Descriptor();
  if (!addresses_) {
    auto answer = lookup_->answer();
    if (!answer) return give_up(std::move(answer).error().what);
    addresses_ = *std::move(answer);
  }
  if (addresses_) {
    auto connected = try_addresses();
    if (!connected || *connected) return connected;
  }
  if (monotonic_now() >= deadline_) return give_up(fmt::format("no connection within {}", print_duration(timeout_)));
  return Descriptor();
}

Result<Descriptor> Connector::try_addresses() {
  for (;;) {
    if (connecting_) {
      pollfd poll_for{.fd = connecting_.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&poll_for, 1, 0) == 0) return Descriptor();
      int error = 0;
      socklen_t size = sizeof(error);
      if (::getsockopt(connecting_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
      if (error == 0) {
        lookup_.reset();
        return std::exchange(connecting_, Descriptor());
      }
      last_failure_ = reason(error);
      connecting_ = Descriptor();
    }
    if (next_address_ == addresses_->size()) return give_up(last_failure_);
    const SocketAddress& address = (*addresses_)[next_address_++];
    const int family = address.storage.ss_family;
    Descriptor socket(::socket(family, type_ | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) {
      last_failure_ = reason(errno);
      continue;
    }
    if (type_ == SOCK_STREAM) hold_nothing_back(socket, family);
    if (::connect(socket.get(), as_sockaddr(address), address.size) == 0) {
      lookup_.reset();
      return socket;
    }
    if (errno == EINPROGRESS) {
      connecting_ = std::move(socket);
    } else {
      last_failure_ = reason(errno);
    }
  }
}

Result<Listener> Listener::create(const Endpoint& endpoint) {
  Listener listener(endpoint);
  std::vector<SocketAddress> addresses = known_addresses(endpoint, SOCK_STREAM);
  if (addresses.empty()) {
    if (const int error = look_up(endpoint.host, endpoint.port, SOCK_STREAM, AI_PASSIVE, addresses); error != 0) {
      return fail(ErrorCode::kConfig, fmt::format("{}: {}", printable(endpoint.host), ::gai_strerror(error)));
    }
  }
  for (const SocketAddress& address : addresses) {
    auto added = listener.add(address);
    // A machine without IPv6 has no ::1.
    const bool optional = endpoint.host.empty() && address.storage.ss_family == AF_INET6;
    if (!added && !(optional && added.error().code == ErrorCode::kConfig)) {
      return tl::make_unexpected(std::move(added).error().in(print_endpoint(listener.endpoint_)));
    }
  }
  return listener;
}

Result<void> Listener::add(SocketAddress address) {
  const int family = address.storage.ss_family;
  Descriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(ErrorCode::kConfig, reason(errno));
  const int on = 1;
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (family == AF_UNIX) {
    if (is_abandoned(address)) ::unlink(endpoint_.path.c_str());
  } else {
    // Without it a restart would have to wait for the connections of the process before to be forgotten.
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    *port_of(address) = htons(endpoint_.port);
  }
  if (::bind(socket.get(), as_sockaddr(address), address.size) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    const ErrorCode code = errno == EADDRINUSE ? ErrorCode::kUnavailable : ErrorCode::kConfig;
    return fail(code, reason(errno));
  }
  if (family != AF_UNIX && endpoint_.port == 0) {
    address.size = sizeof(address.storage);
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size);
    endpoint_.port = ntohs(*port_of(address));
  }
  sockets_.push_back(std::move(socket));
  return {};
}

Listener::~Listener() {
  if (!sockets_.empty() && !endpoint_.path.empty()) ::unlink(endpoint_.path.c_str());
}

void Listener::watch(Loop& loop) const {
  if (resting_until_ && monotonic_now() < *resting_until_) return;
  for (const Descriptor& socket : sockets_) loop.watch(socket.get(), POLLIN);
}

Result<Descriptor> Listener::accept() {
  if (resting_until_ && monotonic_now() < *resting_until_) return Descriptor();
  resting_until_.reset();
  for (const Descriptor& socket : sockets_) {
    for (;;) {
      Descriptor accepted(::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted) {
        hold_nothing_back(accepted, endpoint_.path.empty() ? AF_INET : AF_UNIX);
        return accepted;
      }
      if (would_block(errno)) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        resting_until_ = monotonic_now() + kRest;
        return tl::make_unexpected(broken("accept", errno));
      }
      // accept(2): errors of a connection that is gone already come out here, and the next one may be good.
      if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK) {
        return tl::make_unexpected(system_error("accept", errno));
      }
    }
  }
  return Descriptor();
}

Result<Descriptor> bind_datagrams(Endpoint& endpoint) {
  std::vector<SocketAddress> addresses = known_addresses(endpoint, SOCK_DGRAM);
  if (addresses.empty()) {
    if (const int error = look_up(endpoint.host, endpoint.port, SOCK_DGRAM, AI_PASSIVE, addresses); error != 0) {
      return fail(ErrorCode::kConfig, fmt::format("{}: {}", printable(endpoint.host), ::gai_strerror(error)));
    }
  }
  SocketAddress address = addresses.front();
  Descriptor socket(::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket || ::bind(socket.get(), as_sockaddr(address), address.size) != 0) {
    return fail(errno == EADDRINUSE ? ErrorCode::kUnavailable : ErrorCode::kConfig,
                fmt::format("{}: {}", print_endpoint(endpoint), reason(errno)));
  }
  address.size = sizeof(address.storage);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  if (const auto* port = port_of(address)) endpoint.port = ntohs(*port);
  return socket;
}

Result<std::optional<std::size_t>> receive_datagram(const Descriptor& socket, std::span<char> to, SocketAddress& from) {
  ssize_t count = 0;
  do {
    from.size = sizeof(from.storage);
    count = ::recvfrom(socket.get(), to.data(), to.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from.storage),
                       &from.size);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return std::optional(static_cast<std::size_t>(count));
  if (would_block(errno)) return std::optional<std::size_t>();
  return tl::make_unexpected(broken("receive", errno));
}

void send_datagram(const Descriptor& socket, std::string_view bytes, const SocketAddress& to) {
  while (::sendto(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL, as_sockaddr(to), to.size) <
             0 &&
         errno == EINTR) {
  }
}

Result<std::size_t> send_some(const Descriptor& socket, std::string_view bytes) {
  ssize_t count = 0;
  do {
    count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (would_block(errno)) return std::size_t{0};
  return tl::make_unexpected(broken("send", errno));
}

Result<std::optional<std::size_t>> receive_some(const Descriptor& socket, std::span<char> to) {
  ssize_t count = 0;
  do {
    count = ::recv(socket.get(), to.data(), to.size(), MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count > 0) return std::optional(static_cast<std::size_t>(count));
  if (count == 0) return std::optional<std::size_t>();
  if (would_block(errno)) return std::optional(std::size_t{0});
  return tl::make_unexpected(broken("receive", errno));
}

}  // namespace fieldpipe::io
