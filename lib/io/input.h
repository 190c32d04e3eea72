// SPDX-License-Identifier: MIT
// A byte source with a buffer: stdin or a file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "io/descriptor.h"

namespace fieldpipe::io {

// Reads a descriptor into a window of unread bytes. A consumer looks at the window, takes what it
// can use from its front, and asks for more when that is not enough.
class Input {
 public:
  // Standard input. Refuses a terminal (kUsage) unless `allow_terminal`: a filter that waits on a
  // terminal looks hung.
  static Result<Input> standard(bool allow_terminal = true);

  // The file `path`, or standard input for "-". Does not wait for the writer of a named pipe: poll does. Fails with
  // kNoInput when there is none.
  static Result<Input> open(const std::string& path);

  // What to call it in messages: the path, or "stdin".
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int descriptor() const { return fd_; }

  // The unread bytes. Valid until the next call of read_more.
  [[nodiscard]] Bytes window() const { return Bytes(buffer_).subspan(begin_, end_ - begin_); }

  // Drops the first `count` bytes of the window.
  void consume(std::size_t count) { begin_ += count; }

  // True once the source has said that nothing more comes. The window may still hold bytes.
  [[nodiscard]] bool at_end() const { return at_end_; }

  // One read(2). Where nothing is there yet it blocks, or changes nothing: so poll first. Grows the buffer when the
  // window fills it, so a consumer that wants a limit checks the size of the window. Fails with kIo.
  Result<void> read_more();

 private:
  Input(Descriptor owned, int fd, std::string name);

  Descriptor owned_;  // nothing for stdin, which is not ours to close
  int fd_;
  std::string name_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool at_end_ = false;
};

}  // namespace fieldpipe::io
