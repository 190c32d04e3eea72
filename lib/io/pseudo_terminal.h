// SPDX-License-Identifier: MIT
// The other side of a pseudo terminal: what takes the place of a device on a serial port.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::io {

// A port that others open by its path, again and again. Raw, as io::SerialPort makes it.
class PseudoTerminal {
 public:
  // Fails with kIo.
  static Result<PseudoTerminal> create();

  [[nodiscard]] int descriptor() const { return ours_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  // Writes what goes without waiting, and gives the number of bytes. Whoever opens the port next reads what nobody did.
  Result<std::size_t> write_some(std::string_view bytes);

  // Reads what is there into `to`, and gives the number of bytes: 0 when nothing is there.
  Result<std::size_t> read_some(std::span<char> to);

 private:
  Descriptor ours_;
  Descriptor theirs_;  // kept open: without it a port that nobody has open is hung up, and poll(2) never rests
  std::string path_;
};

}  // namespace fieldpipe::io
