// SPDX-License-Identifier: MIT
// Serial ports and pseudo terminals: raw, 8N1, for one process at a time.
#pragma once

#include <termios.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::io {

struct SerialAddress {
  std::string path;
  std::uint32_t baud = 115200;
};

// Reads `PATH[@BAUD]`; a path may hold an @ if a BAUD follows the last one. Fails with kUsage, also for a rate that
// termios has no number for.
Result<SerialAddress> parse_serial_address(std::string_view text);

// `address` as parse_serial_address reads it, the rate only where it is not 115200.
std::string print_serial_address(const SerialAddress& address);

// Lines of a port that boards may be reset or put to sleep by. The system raises both when a port is opened; what is
// not set here stays so.
struct ModemLines {
  std::optional<bool> dtr;
  std::optional<bool> rts;
};

// An open port that does not block. No echo, no translation, no flow control; closing it leaves the modem lines alone,
// so that boards which reset on them do not. Its other settings are put back in the end.
class SerialPort {
 public:
  // Fails with kIo where there is no such port, it cannot be opened, is no terminal or lacks a line, and with
  // kUnavailable where another process has locked it: two readers would steal each other's bytes.
  static Result<SerialPort> open(const SerialAddress& address, const ModemLines& lines = {});

  SerialPort(SerialPort&&) noexcept = default;
  SerialPort& operator=(SerialPort&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(before_, other.before_);
    return *this;
  }
  SerialPort(const SerialPort&) = delete;
  SerialPort& operator=(const SerialPort&) = delete;
  ~SerialPort();

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }

  // Writes what goes without waiting, and gives the number of bytes. A port that has gone is kUnavailable.
  Result<std::size_t> write_some(std::string_view bytes);

  // Reads what is there into `to`, and gives the number of bytes: 0 when nothing is there, nothing at all when the port
  // has gone (unplugged, or the other side of a pseudo terminal closed).
  Result<std::optional<std::size_t>> read_some(std::span<char> to);

 private:
  SerialPort(Descriptor descriptor, const termios& before) : descriptor_(std::move(descriptor)), before_(before) {}

  Descriptor descriptor_;
  termios before_;
};

}  // namespace fieldpipe::io
