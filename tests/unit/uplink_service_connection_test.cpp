// SPDX-License-Identifier: MIT
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "uplink/payload.h"
#include "uplink_service/connection.h"

using namespace fieldpipe;
using uplink_service::Connection;

namespace {

// A connection and its other end.
struct Pair {
  Pair() : Pair(make()) {}

  void send(std::string_view bytes) {
    REQUIRE(::send(other.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    connection.read(monotonic_now());
  }
  void end() {
    ::shutdown(other.get(), SHUT_WR);
    connection.read(monotonic_now());
  }
  std::vector<std::string> lines() {
    std::vector<std::string> texts;
    while (const auto line = connection.next_line())
      texts.push_back(line->too_long ? "too long" : std::string(line->text));
    return texts;
  }
  std::string received() {
    std::string text(4096, '\0');
    const ssize_t count = ::recv(other.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }

  Connection connection;
  io::Descriptor other;

 private:
  struct Ends {
    int ours;
    int theirs;
  };
  static Ends make() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return {ends[0], ends[1]};
  }
  explicit Pair(Ends ends) : connection(io::Descriptor(ends.ours)), other(ends.theirs) {}
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("lines are cut wherever the pieces end") {
  const std::string text = "one\n\ntwo\r\nthree\n";
  for (std::size_t split = 0; split <= text.size(); ++split) {
    Pair pair;
    pair.send(std::string_view(text).substr(0, split));
    Lines found = pair.lines();
    pair.connection.accept();
    pair.send(std::string_view(text).substr(split));
    for (const std::string& line : pair.lines()) found.push_back(line);
    CHECK(found == Lines{"one", "", "two\r", "three"});
  }
}

TEST_CASE("a line that has to wait comes again whole") {
  Pair pair;
  pair.send("one\ntwo\nthree\n");
  REQUIRE(pair.connection.next_line()->text == "one");
  REQUIRE(pair.connection.next_line()->text == "two");
  pair.connection.unread();
  CHECK(pair.connection.next_line()->text == "two");
  pair.connection.unread();
  pair.connection.accept();
  CHECK(pair.lines() == Lines{"two", "three"});
}

TEST_CASE("lines that could not be stored come again, and their checkpoints are not answered") {
  Pair pair;
  pair.send("one\ntwo\n");
  CHECK(pair.lines() == Lines{"one", "two"});
  pair.connection.promise(7);
  pair.connection.rewind();
  CHECK(pair.received().empty());
  CHECK(pair.lines() == Lines{"one", "two"});
  pair.connection.promise(7);
  pair.connection.accept();
  CHECK(pair.received() == "{\"stored\":7}\n");
  CHECK(pair.lines().empty());
}

TEST_CASE("the end of a connection") {
  SUBCASE("leaves a last line without its line feed") {
    Pair pair;
    pair.send("one\ntwo");
    CHECK(pair.lines() == Lines{"one"});
    pair.end();
    CHECK(pair.lines() == Lines{"two"});
    CHECK_FALSE(pair.connection.finished());
    pair.connection.accept();
    CHECK(pair.connection.finished());
    CHECK_FALSE(pair.connection.cut_short());
  }
  SUBCASE("a carriage return alone is no line") {
    Pair pair;
    pair.send("one\n\r");
    pair.end();
    CHECK(pair.lines() == Lines{"one"});
    pair.connection.accept();
    CHECK(pair.connection.finished());
  }
  SUBCASE("by another client: what was sent counts, but for half a line") {
    Pair pair;
    pair.send("one\n");
    const MonotonicTime now = monotonic_now();
    pair.connection.leave(now);
    pair.send("two\nthr");
    CHECK(pair.lines() == Lines{"one", "two"});
    pair.connection.read(now + std::chrono::seconds(2));
    CHECK(pair.lines().empty());
    CHECK(pair.connection.cut_short());
    pair.connection.accept();
    CHECK(pair.connection.finished());
    char byte = 0;
    CHECK(::recv(pair.other.get(), &byte, 1, 0) == 0);  // it was told
  }
}

TEST_CASE("lines that are too long are passed over in constant memory, and the third in a row ends it") {
  Pair pair;
  const std::string piece(50000, 'x');
  const auto long_line = [&] {
    Lines found;
    for (int i = 0; i < 7; ++i) {
      pair.send(piece);
      for (const std::string& line : pair.lines()) found.push_back(line);
      pair.connection.accept();
    }
    return found;
  };
  CHECK(long_line() == Lines{"too long"});
  pair.send("rest\n");
  CHECK(pair.lines().empty());
  pair.send("good\n");
  CHECK(pair.lines() == Lines{"good"});
  const std::string longest(uplink::kMaxLineBytes, 'y');
  for (std::size_t at = 0; at < longest.size(); at += 65536) {
    pair.send(std::string_view(longest).substr(at, 65536));
    CHECK(pair.lines().empty());
  }
  pair.send("\n");
  CHECK(pair.lines() == Lines{longest});
  pair.connection.accept();
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(pair.connection.ended());
    CHECK(long_line() == Lines{"too long"});
    if (i < 2) pair.send("\n");
  }
  CHECK(pair.connection.ended());
}

TEST_CASE("an action is on its way until the system has all of it") {
  Pair pair;
  const std::string large(1 << 20, 'a');
  pair.connection.send_action(large + "\n", 5);
  CHECK(pair.connection.busy());
  CHECK_FALSE(pair.connection.take_sent());
  std::string got;
  while (pair.connection.wants_to_send()) {
    got += pair.received();
    pair.connection.flush();
  }
  CHECK(pair.connection.take_sent() == 5);
  CHECK_FALSE(pair.connection.take_sent());
  while (got.size() < large.size() + 1) got += pair.received();
  CHECK(got == large + "\n");
}
