// SPDX-License-Identifier: MIT
#include "io/serial_port.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <string>

#include <doctest/doctest.h>

namespace fieldpipe::io {
namespace {

// A pseudo terminal: the far side, and the path of ours.
struct Terminal {
  Descriptor far{::posix_openpt(O_RDWR | O_NOCTTY)};
  SerialAddress address;

  Terminal() {
    REQUIRE(far);
    REQUIRE(::grantpt(far.get()) == 0);
    REQUIRE(::unlockpt(far.get()) == 0);
    address.path = ::ptsname(far.get());
  }
};

std::string read_all(SerialPort& port, std::size_t bytes) {
  std::string all;
  while (all.size() < bytes) {
    pollfd wait_for{.fd = port.descriptor(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&wait_for, 1, 10000) == 1);
    std::array<char, 64> buffer;
    const auto count = port.read_some(buffer);
    REQUIRE(count);
    REQUIRE(*count);
    all.append(buffer.data(), **count);
  }
  return all;
}

TEST_CASE("addresses") {
  CHECK(parse_serial_address("/dev/ttyACM0").value().baud == 115200);
  const auto fast = parse_serial_address("/dev/by@id@921600");
  REQUIRE(fast);
  CHECK(fast->path == "/dev/by@id");
  CHECK(fast->baud == 921600);
  CHECK(print_serial_address(*fast) == "/dev/by@id@921600");
  CHECK(print_serial_address({"/dev/ttyS0"}) == "/dev/ttyS0");
  CHECK(parse_serial_address("").error().what == "no port");
  CHECK(parse_serial_address("@9600").error().what == "no port");
  CHECK(parse_serial_address("/dev/ttyS0@9601").error().what == "'9601' is no rate of a serial port");
  CHECK(parse_serial_address("/dev/ttyS0@fast").error().what == "'fast' is no rate of a serial port");
}

TEST_CASE("bytes go through unchanged, both ways") {
  Terminal terminal;
  auto port = SerialPort::open(terminal.address);
  REQUIRE(port);
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  REQUIRE(::write(terminal.far.get(), all.data(), all.size()) == 256);
  CHECK(read_all(*port, all.size()) == all);
  CHECK(port->write_some(all).value() == all.size());
  std::string back(all.size(), '\0');
  REQUIRE(::read(terminal.far.get(), back.data(), back.size()) == 256);
  CHECK(back == all);
  std::array<char, 8> buffer;
  CHECK(port->read_some(buffer).value() == 0U);
}

TEST_CASE("one process at a time, and the settings come back") {
  Terminal terminal;
  const Descriptor witness(::open(terminal.address.path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios before{};
  REQUIRE(::tcgetattr(witness.get(), &before) == 0);
  {
    auto port = SerialPort::open(terminal.address);
    REQUIRE(port);
    const auto second = SerialPort::open(terminal.address);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::kUnavailable);
    CHECK(second.error().what == terminal.address.path + ": in use by another process");
    termios during{};
    REQUIRE(::tcgetattr(witness.get(), &during) == 0);
    CHECK((during.c_lflag & ECHO) == 0);
  }
  termios after{};
  REQUIRE(::tcgetattr(witness.get(), &after) == 0);
  CHECK(after.c_lflag == before.c_lflag);
  CHECK(after.c_oflag == before.c_oflag);
  CHECK(SerialPort::open(terminal.address));
}

TEST_CASE("closing a port leaves its modem lines alone") {
  Terminal terminal;
  const Descriptor witness(::open(terminal.address.path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings{};
  REQUIRE(::tcgetattr(witness.get(), &settings) == 0);
  settings.c_cflag |= HUPCL;
  REQUIRE(::tcsetattr(witness.get(), TCSANOW, &settings) == 0);
  REQUIRE(SerialPort::open(terminal.address));
  REQUIRE(::tcgetattr(witness.get(), &settings) == 0);
  CHECK((settings.c_cflag & HUPCL) == 0);
}

TEST_CASE("lines that a pseudo terminal does not have") {
  Terminal terminal;
  CHECK(SerialPort::open(terminal.address, {.dtr = false, .rts = {}}).error().what ==
        terminal.address.path + ": DTR: Inappropriate ioctl for device");
  CHECK(SerialPort::open(terminal.address, {.dtr = {}, .rts = true}).error().what ==
        terminal.address.path + ": RTS: Inappropriate ioctl for device");
  CHECK(SerialPort::open(terminal.address));
}

TEST_CASE("a port that goes away") {
  Terminal terminal;
  auto port = SerialPort::open(terminal.address);
  REQUIRE(port);
  terminal.far = Descriptor();
  std::array<char, 8> buffer;
  const auto count = port->read_some(buffer);
  REQUIRE(count);
  CHECK_FALSE(*count);
  CHECK(port->write_some("x").error().code == ErrorCode::kUnavailable);
}

TEST_CASE("what is no port") {
  CHECK(SerialPort::open({"/nonexistent"}).error().what == "/nonexistent: No such file or directory");
  CHECK(SerialPort::open({"/nonexistent"}).error().code == ErrorCode::kIo);
  CHECK(SerialPort::open({"/dev/null"}).error().what == "/dev/null: not a serial port");
}

}  // namespace
}  // namespace fieldpipe::io
