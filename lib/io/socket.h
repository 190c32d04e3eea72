// SPDX-License-Identifier: MIT
// Sockets in the loop, TCP, unix and UDP: where they lead, connecting, listening, and moving bytes without waiting.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/descriptor.h"
#include "io/loop.h"

namespace fieldpipe::io {

// One end of a connection as users write it. `path` is set for a unix socket, host and port otherwise; an empty host
// is this machine's loopback, in IPv4 and IPv6.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  std::string path;
};

// Reads `HOST:PORT`, `:PORT`, `[ADDRESS]:PORT` (IPv6) or `unix:PATH`. Ports are 1 to 65535; a path has at most 107
// bytes, which is what a socket address holds (unix(7)). Fails with kUsage.
Result<Endpoint> parse_endpoint(std::string_view text);

// `endpoint` as parse_endpoint reads it, with 127.0.0.1 for an empty host.
std::string print_endpoint(const Endpoint& endpoint);

// An address for the system.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// The name of a host as addresses, looked up in a thread of its own where that may take long, so that the loop goes on.
class Lookup {
 public:
  // Starts on `endpoint`; `type` is SOCK_STREAM or SOCK_DGRAM.
  Lookup(const Endpoint& endpoint, int type);

  // Readable once the answer is there; -1 when it has been there from the start.
  [[nodiscard]] int descriptor() const;

  // The addresses in the order to try them; nothing while the answer is not there. Fails with kUnavailable where the
  // name has none.
  [[nodiscard]] Result<std::optional<std::vector<SocketAddress>>> answer() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// Connects, address after address, until one takes the connection.
class Connector {
 public:
  // `timeout` bounds an attempt as a whole. `type` is SOCK_STREAM, or SOCK_DGRAM for a socket that sends to and hears
  // of that one address only.
  Connector(Endpoint endpoint, std::chrono::nanoseconds timeout, int type = SOCK_STREAM);

  // Begins an attempt, and ends the one that is going on.
  void start();

  // Whether an attempt is going on.
  [[nodiscard]] bool active() const { return lookup_.has_value(); }

  // What to wait for, and how long at most, before the next advance().
  void watch(Loop& loop) const;
  [[nodiscard]] MonotonicTime deadline() const { return deadline_; }

  // Goes on with the attempt, without waiting. The connection when there is one, which ends the attempt; it does not
  // block, and small TCP packets are never held back. Nothing (an empty Descriptor) while it goes on. Fails with
  // kUnavailable, which ends the attempt too.
  Result<Descriptor> advance();

  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }

 private:
  Result<Descriptor> try_addresses();
  tl::unexpected<Error> give_up(std::string why);

  Endpoint endpoint_;
  std::chrono::nanoseconds timeout_;
  int type_;
  std::optional<Lookup> lookup_;
  std::optional<std::vector<SocketAddress>> addresses_;
  std::size_t next_address_ = 0;
  Descriptor connecting_;
  std::string last_failure_;
  MonotonicTime deadline_{};
};

// Takes connections. Where the process or the system is out of descriptors, it rests for a second instead of being
// woken without end by a connection that nobody can take.
class Listener {
 public:
  // Listens on `endpoint`. An empty host is 127.0.0.1 and, where the machine has it, ::1; port 0 lets the system choose
  // one. The socket file of a process that is gone is replaced. Fails with kUnavailable when the address is in use,
  // with kConfig when it is not ours to take.
  static Result<Listener> create(const Endpoint& endpoint);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) noexcept = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();  // removes the socket file

  // What to wait for before the next accept(), and when to call it in any case; no time when there is no need.
  void watch(Loop& loop) const;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const { return resting_until_; }

  // The next connection that waits, as Connector gives them; an empty Descriptor when none does or when it rests. Fails
  // with kUnavailable once when a rest begins, and with kIo.
  Result<Descriptor> accept();

  // Where it listens, with the port that the system chose.
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }

 private:
  explicit Listener(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}
  Result<void> add(SocketAddress address);

  Endpoint endpoint_;
  std::vector<Descriptor> sockets_;
  std::optional<MonotonicTime> resting_until_;
};

// A socket for datagrams from anybody, on `endpoint`; an empty host is 127.0.0.1, and port 0 lets the system choose
// one, which is then put into `endpoint`. Fails with kUnavailable when the address is in use, with kConfig when it is
// not ours to take.
Result<Descriptor> bind_datagrams(Endpoint& endpoint);

// Receives one datagram into `to` and its sender into `from`, and gives the number of bytes; nothing when none is
// there. What does not fit is cut off. Fails with kUnavailable.
Result<std::optional<std::size_t>> receive_datagram(const Descriptor& socket, std::span<char> to, SocketAddress& from);

// Sends one datagram. What the system does not take now is lost, as it may be on the way.
void send_datagram(const Descriptor& socket, std::string_view bytes, const SocketAddress& to);

// Sends what goes without waiting, and gives the number of bytes; 0 when nothing does. A connection that is broken is
// kUnavailable.
Result<std::size_t> send_some(const Descriptor& socket, std::string_view bytes);

// Receives what is there into `to`, and gives the number of bytes: 0 when nothing is there, nothing at all when the
// other side has ended its half. A connection that is broken is kUnavailable.
Result<std::optional<std::size_t>> receive_some(const Descriptor& socket, std::span<char> to);

}  // namespace fieldpipe::io
