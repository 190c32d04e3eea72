// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

#include <doctest/doctest.h>

#include "io/input.h"
#include "scratch.h"

using namespace fieldpipe;

TEST_CASE("a file is read to its end, in windows that keep what was not consumed") {
  std::string path = "/tmp/fieldpipe.XXXXXX";
  const io::Descriptor file(::mkstemp(path.data()));
  std::string content(1'000'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 % 251);
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));

  auto in = io::Input::open(path);
  REQUIRE(in);
  CHECK(in->name() == path);
  CHECK(in->window().empty());
  std::string seen;
  while (!in->at_end()) {
    REQUIRE(in->read_more());
    // Consumes all but a bit, which must be in front of the next window.
    const std::size_t count = in->at_end() ? in->window().size() : in->window().size() - in->window().size() % 1000;
    seen += as_text(in->window().first(count));
    in->consume(count);
  }
  CHECK(seen == content);
  CHECK(in->window().empty());
  ::unlink(path.c_str());
}

TEST_CASE("a window grows for a consumer that takes nothing") {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  io::Descriptor writer(pipe[1]);
  const io::Descriptor reader(pipe[0]);
  auto in = io::Input::open("/dev/fd/" + std::to_string(reader.get()));
  REQUIRE(in);
  std::string content;
  for (int i = 0; i < 20; ++i) {
    const std::string chunk(60'000, static_cast<char>('a' + i));
    REQUIRE(::write(writer.get(), chunk.data(), chunk.size()) == static_cast<ssize_t>(chunk.size()));
    content += chunk;
    while (in->window().size() < content.size()) REQUIRE(in->read_more());
  }
  CHECK(as_text(in->window()) == content);
  CHECK_FALSE(in->at_end());
  REQUIRE(writer.close());
  REQUIRE(in->read_more());
  CHECK(in->at_end());
}

TEST_CASE("a named pipe is opened without waiting for its writer, and has not ended before there was one") {
  const Scratch folder;
  const std::string path = folder / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  auto in = io::Input::open(path);
  REQUIRE(in);
  pollfd waiting{.fd = in->descriptor(), .events = POLLIN, .revents = 0};
  CHECK(::poll(&waiting, 1, 0) == 0);
  io::Descriptor writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // Nothing there yet is not the end, as with a stdin that another process has set to O_NONBLOCK.
  REQUIRE(in->read_more());
  CHECK_FALSE(in->at_end());
  CHECK(in->window().empty());
  REQUIRE(::write(writer.get(), "x", 1) == 1);
  REQUIRE(in->read_more());
  CHECK(as_text(in->window()) == "x");
  REQUIRE(writer.close());
  REQUIRE(in->read_more());
  CHECK(in->at_end());
}

TEST_CASE("an input that cannot be opened or read says why") {
  const auto missing = io::Input::open("/nowhere/file");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::kNoInput);
  CHECK(missing.error().what == "/nowhere/file: No such file or directory");
  auto folder = io::Input::open("/");
  REQUIRE(folder);
  const auto read = folder->read_more();
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::kIo);
  CHECK(read.error().what == "/: Is a directory");
}
