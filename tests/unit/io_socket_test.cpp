// SPDX-License-Identifier: MIT
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "io/loop.h"
#include "io/socket.h"
#include "scratch.h"

using namespace fieldpipe;
using std::chrono::seconds;

namespace {

io::Loop make_loop() {
  auto loop = io::Loop::create(seconds(5));
  REQUIRE(loop);
  return *std::move(loop);
}

// Drives an attempt to its end.
Result<io::Descriptor> connect(io::Loop& loop, const io::Endpoint& endpoint, int type = SOCK_STREAM) {
  io::Connector connector(endpoint, seconds(5), type);
  connector.start();
  for (;;) {
    auto connected = connector.advance();
    if (!connected || *connected) return connected;
    connector.watch(loop);
    REQUIRE(loop.wait(connector.deadline()));
  }
}

io::Descriptor accept(io::Loop& loop, io::Listener& listener) {
  for (;;) {
    auto accepted = listener.accept();
    REQUIRE(accepted);
    if (*accepted) return *std::move(accepted);
    listener.watch(loop);
    REQUIRE(loop.wait(monotonic_now() + seconds(5)));
  }
}

std::string receive_all(io::Loop& loop, const io::Descriptor& socket) {
  std::string all;
  std::array<char, 100> block;
  for (;;) {
    const auto count = io::receive_some(socket, block);
    REQUIRE(count);
    if (!*count) return all;
    all.append(block.data(), **count);
    if (**count > 0) continue;
    loop.watch(socket.get(), POLLIN);
    REQUIRE(loop.wait(monotonic_now() + seconds(5)));
  }
}

void check_conversation(const io::Endpoint& where) {
  io::Loop loop = make_loop();
  auto listener = io::Listener::create(where);
  REQUIRE(listener);
  auto client = connect(loop, listener->endpoint());
  REQUIRE(client);
  io::Descriptor server = accept(loop, *listener);
  CHECK(io::send_some(*client, "hello\n").value() == 6);
  CHECK(io::send_some(server, "you\n").value() == 4);
  ::shutdown(client->get(), SHUT_WR);
  CHECK(receive_all(loop, server) == "hello\n");
  CHECK(server.close());
  CHECK(receive_all(loop, *client) == "you\n");
}

}  // namespace

TEST_CASE("an endpoint is read and printed in each of its forms") {
  for (const char* text : {"localhost:5050", "10.0.0.7:1", "[::1]:65535", "unix:/run/app", "unix:a b"}) {
    CAPTURE(text);
    const auto endpoint = io::parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(io::print_endpoint(*endpoint) == text);
  }
  const auto loopback = io::parse_endpoint(":5050");
  REQUIRE(loopback);
  CHECK(loopback->host.empty());
  CHECK(loopback->port == 5050);
  CHECK(io::print_endpoint(*loopback) == "127.0.0.1:5050");
}

TEST_CASE("what is no endpoint is refused with its reason") {
  const auto why = [](std::string_view text) {
    const auto endpoint = io::parse_endpoint(text);
    REQUIRE(!endpoint);
    CHECK(endpoint.error().code == ErrorCode::kUsage);
    return endpoint.error().what;
  };
  CHECK(why("5050") == "'5050' has no port");
  CHECK(why("host:") == "port '' is not a number from 1 to 65535");
  CHECK(why("host:0") == "port '0' is not a number from 1 to 65535");
  CHECK(why("host:65536") == "port '65536' is not a number from 1 to 65535");
  CHECK(why("host:+1") == "port '+1' is not a number from 1 to 65535");
  CHECK(why("::1:5050") == "'::1:5050' is an address of IPv6 without brackets");
  CHECK(why("unix:") == "unix: without a path");
  CHECK(why("unix:" + std::string(108, 'a')).ends_with("has 108 bytes, a socket's path at most 107"));
  CHECK(io::parse_endpoint("unix:" + std::string(107, 'a')));
}

TEST_CASE("a TCP connection on a port that the system chose") { check_conversation({}); }

TEST_CASE("a datagram socket hears of its address only") {
  auto loop = make_loop();
  const auto bound = [] {
    io::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    return socket;
  };
  const auto address_of = [](const io::Descriptor& socket) {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return address;
  };
  const io::Descriptor peer = bound();
  const io::Descriptor stranger = bound();
  auto socket = connect(loop, {"127.0.0.1", ntohs(address_of(peer).sin_port), {}}, SOCK_DGRAM);
  REQUIRE(socket);
  const sockaddr_in ours = address_of(*socket);
  const auto send_from = [&](const io::Descriptor& from, std::string_view text) {
    REQUIRE(::sendto(from.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&ours), sizeof(ours)) >
            0);
  };
  send_from(stranger, "no");
  send_from(peer, "yes");
  std::array<char, 100> block;
  loop.watch(socket->get(), POLLIN);
  REQUIRE(loop.wait(monotonic_now() + seconds(5)));
  CHECK(io::receive_some(*socket, block).value() == 3U);
  CHECK(io::receive_some(*socket, block).value() == 0U);
}

TEST_CASE("a name is looked up beside the loop") {
  io::Loop loop = make_loop();
  auto listener = io::Listener::create({"127.0.0.1", 0, {}});
  REQUIRE(listener);
  CHECK(connect(loop, {"localhost", listener->endpoint().port, {}}));
}

TEST_CASE("a unix socket, whose file goes with its listener") {
  const Scratch scratch;
  const std::string path = scratch.path + "/socket";
  check_conversation({{}, 0, path});
  CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("the socket file of a process that is gone is replaced, that of a live one is not") {
  const Scratch scratch;
  const io::Endpoint where{{}, 0, scratch.path + "/socket"};
  {
    auto listener = io::Listener::create(where);
    REQUIRE(listener);
    const auto second = io::Listener::create(where);
    REQUIRE(!second);
    CHECK(second.error().code == ErrorCode::kUnavailable);
    CHECK(second.error().what == "unix:" + where.path + ": Address already in use");
  }
  {
    // A socket that is bound and closed leaves its file, as a kill does.
    const io::Descriptor left(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = io::Lookup(where, SOCK_STREAM).answer();
    REQUIRE(address);
    const io::SocketAddress& to = (**address)[0];
    REQUIRE(::bind(left.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0);
  }
  CHECK(::access(where.path.c_str(), F_OK) == 0);
  CHECK(io::Listener::create(where));
}

TEST_CASE("nobody there, and a port that is taken") {
  io::Loop loop = make_loop();
  io::Endpoint where;
  {
    auto listener = io::Listener::create({});
    REQUIRE(listener);
    where = listener->endpoint();
    CHECK(io::Listener::create(where).error().what == io::print_endpoint(where) + ": Address already in use");
  }
  const auto refused = connect(loop, where);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::kUnavailable);
  CHECK(refused.error().what == "Connection refused");
  const auto missing = connect(loop, {{}, 0, "/nonexistent/socket"});
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::kUnavailable);
  CHECK(missing.error().what == "No such file or directory");
  CHECK(connect(loop, {"name.invalid", 1, {}}).error().what.starts_with("name.invalid: "));
}

TEST_CASE("without descriptors the listener rests, and takes the connection later") {
  io::Loop loop = make_loop();
  auto listener = io::Listener::create({"127.0.0.1", 0, {}});
  REQUIRE(listener);
  auto client = connect(loop, listener->endpoint());
  REQUIRE(client);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto refused = listener->accept();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(!refused);
  CHECK(refused.error().what == "accept: Too many open files");
  REQUIRE(listener->deadline());
  CHECK(!*listener->accept());
  listener->watch(loop);
  REQUIRE(loop.wait(listener->deadline()));
  CHECK(*listener->accept());
  CHECK(!listener->deadline());
}
