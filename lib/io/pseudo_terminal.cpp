// SPDX-License-Identifier: MIT
#include "io/pseudo_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace fieldpipe::io {

Result<PseudoTerminal> PseudoTerminal::create() {
  PseudoTerminal made;
  made.ours_ = Descriptor(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 64> path{};
  if (!made.ours_ || ::grantpt(made.ours_.get()) != 0 || ::unlockpt(made.ours_.get()) != 0 ||
      ::ptsname_r(made.ours_.get(), path.data(), path.size()) != 0) {
    return tl::make_unexpected(system_error("pseudo terminal", errno));
  }
  made.path_ = path.data();
  made.theirs_ = Descriptor(::open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios raw{};
  if (!made.theirs_ || ::tcgetattr(made.theirs_.get(), &raw) != 0) {
    return tl::make_unexpected(system_error(made.path_, errno));
  }
  ::cfmakeraw(&raw);
  if (::tcsetattr(made.theirs_.get(), TCSANOW, &raw) != 0) {
    return tl::make_unexpected(system_error(made.path_, errno));
  }
  return made;
}

Result<std::size_t> PseudoTerminal::write_some(std::string_view bytes) {
  const ssize_t count = ::write(ours_.get(), bytes.data(), bytes.size());
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return tl::make_unexpected(system_error(path_, errno));
}

Result<std::size_t> PseudoTerminal::read_some(std::span<char> to) {
  // Who locks the port (TIOCEXCL) and is killed would keep it locked, because our descriptor keeps it open.
  ::ioctl(theirs_.get(), TIOCNXCL);
  const ssize_t count = ::read(ours_.get(), to.data(), to.size());
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
  return tl::make_unexpected(system_error(path_, errno));
}

}  // namespace fieldpipe::io
