// SPDX-License-Identifier: MIT
#include "io/serial_port.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <tuple>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::io {
namespace {

constexpr std::array<std::pair<std::uint32_t, speed_t>, 24> kRates{{
    {1200, B1200},       {1800, B1800},       {2400, B2400},       {4800, B4800},       {9600, B9600},
    {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},   {230400, B230400},
    {460800, B460800},   {500000, B500000},   {576000, B576000},   {921600, B921600},   {1000000, B1000000},
    {1152000, B1152000}, {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000},
    {3500000, B3500000}, {4000000, B4000000}, {300, B300},         {600, B600},
}};

const std::pair<std::uint32_t, speed_t>* find_rate(std::uint32_t baud) {
  const auto* const found =
      std::find_if(kRates.begin(), kRates.end(), [&](const auto& row) { return row.first == baud; });
  return found != kRates.end() ? found : nullptr;
}

std::string reason(int error_number) { return std::generic_category().message(error_number); }

// What read(2) and write(2) say of a port that is no longer there.
bool has_gone(int error_number) { return error_number == EIO || error_number == ENXIO || error_number == ENODEV; }

}  // namespace

Result<SerialAddress> parse_serial_address(std::string_view text) {
  SerialAddress address{std::string(text)};
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    const auto baud = parse_integer<std::uint32_t>(text.substr(at + 1));
    if (!baud || find_rate(*baud) == nullptr) {
      return fail(ErrorCode::kUsage, fmt::format("'{}' is no rate of a serial port", printable(text.substr(at + 1))),
                  "as 9600, 115200 or 1000000");
    }
    address = {std::string(text.substr(0, at)), *baud};
  }
  if (address.path.empty()) return fail(ErrorCode::kUsage, "no port", "as /dev/ttyACM0 or /dev/ttyUSB0@921600");
  return address;
}

std::string print_serial_address(const SerialAddress& address) {
  return address.baud == SerialAddress{}.baud ? address.path : fmt::format("{}@{}", address.path, address.baud);
}

Result<SerialPort> SerialPort::open(const SerialAddress& address, const ModemLines& lines) {
  const auto failed = [&](ErrorCode code, std::string_view what, std::string hint = {}) {
    return fail(code, fmt::format("{}: {}", address.path, what), std::move(hint));
  };
  Descriptor port(::open(address.path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!port) {
    if (errno == EBUSY) return failed(ErrorCode::kUnavailable, "in use by another process", "a terminal left open?");
    return failed(ErrorCode::kIo, reason(errno),
                  errno == EACCES ? "members of the group dialout may use serial ports" : "");
  }
  termios before{};
  if (::tcgetattr(port.get(), &before) != 0) return failed(ErrorCode::kIo, "not a serial port");
  if (::flock(port.get(), LOCK_EX | LOCK_NB) != 0) {
    return failed(ErrorCode::kUnavailable, "in use by another process", "a terminal left open?");
  }
  for (const auto& [raised, bit, name] : {std::tuple(lines.dtr, TIOCM_DTR, "DTR"), {lines.rts, TIOCM_RTS, "RTS"}}) {
    if (raised && ::ioctl(port.get(), *raised ? TIOCMBIS : TIOCMBIC, &bit) != 0) {
      return failed(ErrorCode::kIo, fmt::format("{}: {}", name, reason(errno)));
    }
  }
  ::ioctl(port.get(), TIOCEXCL);
  termios raw = before;
  ::cfmakeraw(&raw);
  raw.c_cflag |= CLOCAL | CREAD;
  raw.c_cflag &= ~static_cast<tcflag_t>(CRTSCTS | CSTOPB | PARENB | HUPCL);
  raw.c_cc[VMIN] = 1;  // so that a read of nothing is EAGAIN, and 0 the end
  raw.c_cc[VTIME] = 0;
  const speed_t rate = find_rate(address.baud)->second;
  ::cfsetispeed(&raw, rate);
  ::cfsetospeed(&raw, rate);
  if (::tcsetattr(port.get(), TCSANOW, &raw) != 0) {
    const int error_number = errno;
    ::ioctl(port.get(), TIOCNXCL);
    return failed(ErrorCode::kIo, reason(error_number));
  }
  return SerialPort(std::move(port), before);
}

SerialPort::~SerialPort() {
  if (!descriptor_) return;
  // The close would lower the lines.
  before_.c_cflag &= ~static_cast<tcflag_t>(HUPCL);
  // Not TCSADRAIN: a port that takes no more bytes would hold us for ever.
  ::tcsetattr(descriptor_.get(), TCSANOW, &before_);
  ::ioctl(descriptor_.get(), TIOCNXCL);
}

Result<std::size_t> SerialPort::write_some(std::string_view bytes) {
  const ssize_t count = ::write(descriptor_.get(), bytes.data(), bytes.size());
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return fail(has_gone(errno) ? ErrorCode::kUnavailable : ErrorCode::kIo, reason(errno));
}

Result<std::optional<std::size_t>> SerialPort::read_some(std::span<char> to) {
  const ssize_t count = ::read(descriptor_.get(), to.data(), to.size());
  if (count > 0) return std::optional(static_cast<std::size_t>(count));
  if (count == 0 || has_gone(errno)) return std::optional<std::size_t>();
  if (errno == EAGAIN || errno == EINTR) return std::optional(std::size_t{0});
  return fail(ErrorCode::kIo, reason(errno));
}

}  // namespace fieldpipe::io
