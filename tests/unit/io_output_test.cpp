// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include <doctest/doctest.h>

#include "io/output.h"
#include "scratch.h"

using namespace fieldpipe;
using namespace std::chrono_literals;

namespace {

std::ptrdiff_t entries(const Scratch& scratch) {
  return std::distance(std::filesystem::directory_iterator(scratch.path), std::filesystem::directory_iterator());
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

// Runs `body` in a process whose stdout is `fd`; its exit status.
int with_stdout(int fd, const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    ::dup2(fd, STDOUT_FILENO);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

// What writing `text` to stdout comes to: 0, or 1 and the number of the error's code.
int write_stdout(const std::string& text, bool binary = false) {
  auto loop = io::Loop::create(20ms);
  auto out = io::Output::standard(binary);
  if (!loop) return 100;
  if (!out) return 1 + static_cast<int>(out.error().code);
  out->buffer() = text;
  const auto done = out->finish(*loop);
  return done ? 0 : 1 + static_cast<int>(done.error().code);
}

constexpr int failed(ErrorCode code) { return 1 + static_cast<int>(code); }

struct Pair {
  io::Descriptor reader;
  io::Descriptor writer;
};

Pair make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {io::Descriptor(ends[0]), io::Descriptor(ends[1])};
}

Pair make_sockets() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {io::Descriptor(ends[0]), io::Descriptor(ends[1])};
}

std::string read_all(Pair& pair) {
  REQUIRE(pair.writer.close());
  std::string all;
  std::array<char, 4096> block{};
  for (;;) {
    const ssize_t count = ::read(pair.reader.get(), block.data(), block.size());
    if (count <= 0) return all;
    all.append(block.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

TEST_CASE("a file appears whole, when it is finished") {
  const Scratch scratch;
  auto loop = io::Loop::create(10s);
  REQUIRE(loop);
  {
    auto out = io::Output::open(scratch / "out", true);
    REQUIRE(out);
    out->buffer() += "first ";
    REQUIRE(out->flush(*loop));
    CHECK_FALSE(std::filesystem::exists(scratch / "out"));
    out->buffer() += "second";
    REQUIRE(out->finish(*loop));
  }
  CHECK(content(scratch / "out") == "first second");
  CHECK(entries(scratch) == 1);
}

TEST_CASE("a file that was not finished leaves what was there and nothing else") {
  const Scratch scratch;
  write_file(scratch / "out", "old");
  {
    auto loop = io::Loop::create(10s);
    auto out = io::Output::open(scratch / "out", true);
    REQUIRE(out);
    out->buffer() += "new";
    REQUIRE(out->flush(*loop));
  }
  CHECK(content(scratch / "out") == "old");
  CHECK(entries(scratch) == 1);
}

TEST_CASE("an output file keeps the modes of the one it replaces, and a link stays a link") {
  const Scratch scratch;
  auto loop = io::Loop::create(10s);
  write_file(scratch / "real", "old");
  REQUIRE(::chmod((scratch / "real").c_str(), 0640) == 0);
  std::filesystem::create_symlink("real", scratch / "link");
  auto out = io::Output::open(scratch / "link", true);
  REQUIRE(out);
  out->buffer() += "new";
  REQUIRE(out->finish(*loop));
  CHECK(std::filesystem::is_symlink(scratch / "link"));
  CHECK(content(scratch / "real") == "new");
  CHECK(mode_of(scratch / "real") == 0640);

  const mode_t mask = ::umask(027);
  auto fresh = io::Output::open(scratch / "fresh", true);
  ::umask(mask);
  REQUIRE(fresh);
  REQUIRE(fresh->finish(*loop));
  CHECK(mode_of(scratch / "fresh") == 0640);
}

TEST_CASE("an output that cannot be made says why") {
  const auto out = io::Output::open("/nowhere/out", true);
  REQUIRE_FALSE(out);
  CHECK(out.error().code == ErrorCode::kIo);
  CHECK(out.error().what == "/nowhere/out: No such file or directory");
}

TEST_CASE("a full device is an error of the flush") {
  auto loop = io::Loop::create(10s);
  auto out = io::Output::open("/dev/full", true);
  REQUIRE(out);
  out->buffer() += "x";
  const auto flushed = out->flush(*loop);
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == ErrorCode::kIo);
  CHECK(flushed.error().what == "/dev/full: No space left on device");
}

TEST_CASE("stdout takes everything, whatever it is") {
  const Scratch scratch;
  const std::string text(30'000, 'x');
  Pair pipe = make_pipe();
  CHECK(with_stdout(pipe.writer.get(), [&] { return write_stdout(text); }) == 0);
  CHECK(read_all(pipe) == text);
  Pair sockets = make_sockets();
  CHECK(with_stdout(sockets.writer.get(), [&] { return write_stdout(text); }) == 0);
  CHECK(read_all(sockets) == text);
  const io::Descriptor file(::open((scratch / "out").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  CHECK(with_stdout(file.get(), [&] { return write_stdout(text); }) == 0);
  CHECK(content(scratch / "out") == text);
}

TEST_CASE("after a failed write nothing follows, and no file appears") {
  const Scratch scratch;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 100'000, .rlim_max = 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto loop = io::Loop::create(10s);
    auto out = io::Output::open(scratch / "out", true);
    if (!loop || !out) ::_exit(100);
    out->buffer() = std::string(100'001, 'x');
    const auto flushed = out->flush(*loop);
    if (flushed || flushed.error().code != ErrorCode::kIo) ::_exit(101);
    out->buffer() = "y";
    // It has been told already.
    const auto finished = out->finish(*loop);
    out = fail(ErrorCode::kBug, "closed");
    ::_exit(finished ? 0 : 102);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(entries(scratch) == 0);
}

TEST_CASE("a link to a file that is not there yet leads to it, one to itself is refused") {
  const Scratch scratch;
  auto loop = io::Loop::create(10s);
  std::filesystem::create_directory(scratch / "folder");
  std::filesystem::create_symlink("folder/new", scratch / "link");
  std::filesystem::create_symlink("link", scratch / "link to it");
  auto out = io::Output::open(scratch / "link to it", true);
  REQUIRE(out);
  out->buffer() += "x";
  REQUIRE(out->finish(*loop));
  CHECK(content(scratch / "folder/new") == "x");
  CHECK(std::filesystem::is_symlink(scratch / "link"));
  std::filesystem::create_symlink("circle", scratch / "circle");
  const auto refused = io::Output::open(scratch / "circle", true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kIo);
}

TEST_CASE("a reader that is slow is waited for") {
  const std::string text(1'000'000, 'x');
  for (const bool socket : {false, true}) {
    Pair pair = socket ? make_sockets() : make_pipe();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::dup2(pair.writer.get(), STDOUT_FILENO);
      ::_exit(write_stdout(text));
    }
    CHECK(read_all(pair) == text);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

TEST_CASE("stdout shared with others stays a blocking descriptor") {
  Pair pipe = make_pipe();
  CHECK(with_stdout(pipe.writer.get(), [] { return write_stdout("x"); }) == 0);
  CHECK((::fcntl(pipe.writer.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a reader that has gone is told from other failures") {
  for (const bool socket : {false, true}) {
    Pair pair = socket ? make_sockets() : make_pipe();
    REQUIRE(pair.reader.close());
    CHECK(with_stdout(pair.writer.get(), [] { return write_stdout("x"); }) == failed(ErrorCode::kReaderGone));
  }
}

TEST_CASE("stopping does not wait for a reader for ever") {
  for (const bool socket : {false, true}) {
    Pair pair = socket ? make_sockets() : make_pipe();
    const auto stuck = [] {
      ::sigset_t term;
      ::sigemptyset(&term);
      ::sigaddset(&term, SIGTERM);
      ::sigprocmask(SIG_BLOCK, &term, nullptr);
      ::raise(SIGTERM);
      return write_stdout(std::string(1'000'000, 'x'));
    };
    CHECK(with_stdout(pair.writer.get(), stuck) == failed(ErrorCode::kUnavailable));
  }
}

TEST_CASE("a stdout that cannot be written is an error from the start") {
  const io::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(with_stdout(null.get(), [] { return write_stdout("x"); }) == failed(ErrorCode::kIo));
  const io::Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  CHECK(with_stdout(full.get(), [] { return write_stdout("x"); }) == failed(ErrorCode::kIo));
}

TEST_CASE("binary output is refused on a terminal, text is not") {
  int master = -1;
  int slave = -1;
  REQUIRE(::openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
  const io::Descriptor terminal(master);
  const io::Descriptor end(slave);
  CHECK(with_stdout(end.get(), [] { return write_stdout("x\n", true); }) == failed(ErrorCode::kUsage));
  CHECK(with_stdout(end.get(), [] { return write_stdout("x\n", false); }) == 0);
}
