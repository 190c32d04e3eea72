// SPDX-License-Identifier: MIT
// The parts of the client that need no server; tests/integration/test_http.py has the rest.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include <doctest/doctest.h>

#include "http/client.h"

using namespace fieldpipe;
using namespace fieldpipe::http;
using namespace std::chrono_literals;

namespace {

// The other end of one connection, in the loop of the test.
class Server {
 public:
  Server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  }
  void watch(io::Loop& loop) const { loop.watch(peer_ ? peer_.get() : listener_.get(), POLLIN); }
  void handle(const io::Loop& loop) {
    if (!peer_ && loop.ready(listener_.get(), POLLIN)) {
      peer_ = io::Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    } else if (peer_ && loop.ready(peer_.get(), POLLIN)) {
      std::array<char, 4096> buffer{};
      const ssize_t count = ::read(peer_.get(), buffer.data(), buffer.size());
      closed = count <= 0;
      got.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    }
  }
  void say(std::string_view text) const {
    REQUIRE(::write(peer_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }

  std::string url;
  std::string got;
  bool closed = false;

 private:
  io::Descriptor listener_;
  io::Descriptor peer_;
};

// Lets both work until `condition` holds.
template <typename Condition>
void run(io::Loop& loop, Client& client, Server& server, Condition condition) {
  const MonotonicTime limit = monotonic_now() + 30s;
  while (!condition()) {
    REQUIRE(monotonic_now() < limit);
    client.watch(loop);
    server.watch(loop);
    REQUIRE(loop.wait(std::min(client.deadline(), limit)));
    server.handle(loop);
    client.handle(loop);
  }
}

}  // namespace

TEST_CASE("a path is put behind a URL that has nothing behind its own") {
  CHECK(check_base_url("https://a/base/").has_value());
  for (const std::string url : {"https://a/?q=1", "https://a?", "https://a/#part"}) {
    CHECK(check_base_url(url).error().what == "'" + url + "' has more than a path: a query or a fragment");
  }
  CHECK_FALSE(check_base_url("http://example.com/").has_value());
}

TEST_CASE("https goes anywhere, http to this machine only") {
  for (const char* url : {"https://chunks.memfault.com", "https://localhost:8443/api", "https://[::1]/",
                          "HTTPS://a/?q=@", "http://localhost", "http://LOCALHOST:80/x", "http://127.0.0.1/",
                          "http://127.9.8.7:1/", "http://[::1]:8080/", "http://127.1/"}) {
    INFO(url);
    CHECK(check_url(url).has_value());
  }
  CHECK(check_url("http://example.com/", true).has_value());

  const auto refused = [](std::string_view url) {
    const auto checked = check_url(url);
    REQUIRE_FALSE(checked.has_value());
    CHECK(checked.error().code == ErrorCode::kUsage);
    return checked.error().what;
  };
  CHECK(refused("http://example.com/") == "'http://example.com/' would send everything in the clear");
  CHECK(refused("http://127.0.0.1.example.com/") ==
        "'http://127.0.0.1.example.com/' would send everything in the clear");
  CHECK(refused("http://localhost.example.com/") ==
        "'http://localhost.example.com/' would send everything in the clear");
  CHECK(refused("ftp://localhost/") == "'ftp://localhost/' is neither https:// nor http://");
  CHECK(refused("file:///etc/passwd") == "'file:///etc/passwd' is neither https:// nor http://");
  CHECK(refused("https://a b/") == "'https://a b/' is no URL: white space or control characters");
  CHECK(refused("https://a/\r\nX: y") == "'https://a/\\r\\nX: y' is no URL: white space or control characters");
  CHECK(refused(std::string_view("https://a/\0b", 12)) ==
        "'https://a/\\x00b' is no URL: white space or control characters");
  CHECK(refused("https://me:secret@host/") == "a URL with a user name or password is not taken");
  CHECK(refused("https://me@host/") == "a URL with a user name or password is not taken");
  CHECK(refused("https://me:secret@:99999/").find("secret") == std::string::npos);
  CHECK(refused("").starts_with("'' is no URL: "));
  CHECK(refused("chunks.memfault.com").starts_with("'chunks.memfault.com' is no URL: "));
  CHECK(refused("https://host:99999/").starts_with("'https://host:99999/' is no URL: "));
}

TEST_CASE("a field of an answer is found in any case and joined") {
  Answer answer;
  CHECK(answer.field("date").empty());
  answer.header =
      "Date: Fri, 20 Nov 2026 13:00:00 GMT\r\nRETRY-AFTER:10 \r\nX-Retry-After: 7\r\nnonsense\r\nretry-after: 20";
  CHECK(answer.field("date") == "Fri, 20 Nov 2026 13:00:00 GMT");
  CHECK(answer.field("Retry-After") == "10, 20");
  CHECK(answer.field("nonsense").empty());
  CHECK(answer.field("After").empty());
}

TEST_CASE("what needs no network is refused before it") {
  ClientOptions options;
  options.tls.cafile = "/nonexistent/ca.pem";
  const auto missing = Client::create(options);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == ErrorCode::kNoInput);
  CHECK(missing.error().what == "--cafile: /nonexistent/ca.pem: No such file or directory");
  options.tls.cafile.clear();
  options.tls.cert = "/dev/null";
  options.tls.key = "/dev/null";
  CHECK(Client::create(options).has_value());
  options.timeout = {};
  CHECK(Client::create(options).error().what == "--timeout: must be more than 0");
  options.connect_timeout = {};
  CHECK(Client::create(options).error().what == "--connect-timeout: must be more than 0");

  auto client = Client::create({});
  REQUIRE(client);
  CHECK(client->free_slots() == 8);
  CHECK(client->deadline() == MonotonicTime::max());
  const auto refused = [&](Header header) {
    const auto started = client->start({.url = "https://localhost/", .headers = {&header, 1}});
    REQUIRE_FALSE(started.has_value());
    CHECK(started.error().code == ErrorCode::kUsage);
    return started.error().what;
  };
  CHECK(refused({"Memfault-Project-Key", "a\r\nb"}) ==
        "header Memfault-Project-Key: its value holds a control character");
  CHECK(refused({"Key", std::string_view("a\0b", 3)}) == "header Key: its value holds a control character");
  CHECK(refused({"a b", "x"}) == "'a b' is no name of a header");
  CHECK(refused({"", "x"}) == "'' is no name of a header");
  CHECK_FALSE(client->start({.url = "http://example.com/"}).has_value());
  CHECK(client->free_slots() == 8);
}

TEST_CASE("a connection is kept for the next request and closed when nobody uses it") {
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  Server server;
  ClientOptions options;
  options.most_idle = 300ms;
  auto client = Client::create(options);
  REQUIRE(client);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client->start({.url = server.url, .body = as_bytes("hello")}) == std::size_t{0});
    CHECK(client->free_slots() == 7);
    run(*loop, *client, server, [&] { return server.got.ends_with("hello"); });
    server.got.clear();
    server.say("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    run(*loop, *client, server, [&] { return !client->answers().empty(); });
    CHECK(client->answers()[0].status == 202);
    CHECK(client->answers()[0].failure == Failure::kNone);
    client->answers().clear();
    CHECK(client->free_slots() == 8);
  }
  CHECK(client->connections() == 1);
  CHECK(client->deadline() <= monotonic_now() + 300ms);
  CHECK_FALSE(server.closed);
  run(*loop, *client, server, [&] { return server.closed; });
  CHECK(client->deadline() == MonotonicTime::max());
}

TEST_CASE("requests that are abandoned have no answer, and their connections go") {
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  Server server;
  auto client = Client::create({});
  REQUIRE(client);
  REQUIRE(client->start({.url = server.url, .body = as_bytes("hello")}));
  run(*loop, *client, server, [&] { return server.got.ends_with("hello"); });
  client->abandon();
  CHECK(client->free_slots() == 8);
  run(*loop, *client, server, [&] { return server.closed; });
  CHECK(client->answers().empty());
}
