// SPDX-License-Identifier: MIT
// A byte sink with a buffer: stdout or a file that appears whole.
#pragma once

#include <cstddef>
#include <string>

#include "core/result.h"
#include "io/descriptor.h"
#include "io/loop.h"

namespace fieldpipe::io {

// Opens what is there, or creates it where `flags` have O_CREAT, to be written to without waiting. A named pipe waits
// for its reader here, before anything was done that needs cleaning up: a stop signal, which Loop holds back, ends the
// process as if there was no Loop. O_APPEND is kept. Fails as system_error() says.
Result<Descriptor> open_to_write(const std::string& path, int flags);

// Writers append to buffer() and call flush when it is full; whoever is about to wait calls flush
// too. So busy pipes get whole blocks and idle pipes get each record at once.
class Output {
 public:
  // What full() calls a block.
  static constexpr std::size_t kBlockBytes = std::size_t{64} * 1024;

  // Standard output. `binary` output is refused on a terminal (kUsage).
  static Result<Output> standard(bool binary);

  // The file `path`, or standard output for "-" and for the empty path. A regular file is written
  // under a temporary name beside it and renamed by finish(), so that a reader sees all of it or
  // none; devices and pipes are opened as they are.
  static Result<Output> open(const std::string& path, bool binary);

  Output(Output&&) noexcept = default;
  Output& operator=(Output&&) noexcept = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();  // removes a temporary file that was not finished

  // Append here.
  std::string& buffer() { return buffer_; }

  // Whether the buffer holds a block worth writing.
  [[nodiscard]] bool full() const { return buffer_.size() >= kBlockBytes; }

  // Writes all that was appended and waits for the reader where it must; `loop` bounds that after a
  // stop signal. Fails with kReaderGone, kIo, or kUnavailable when the stop time limit passed, and
  // does so once: from then on all that is appended is dropped, and no file appears.
  Result<void> flush(Loop& loop);

  // Writes what the reader takes now and keeps the rest, without waiting: for a loop that has other things to do. To be
  // called again when POLLOUT of descriptor() is ready(). Fails with kReaderGone and kIo, once, as flush does.
  Result<void> offer(const Loop& loop);

  // Flushes, and makes a file durable and visible under its name. Nothing may be appended afterwards.
  Result<void> finish(Loop& loop);

  // The descriptor, for noticing a reader that goes away.
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  Output(Descriptor owned, int fd, std::string name);
  Result<void> write_all(Loop& loop);
  Result<std::size_t> write_some(const char* data, std::size_t size);

  Descriptor owned_;
  int fd_;
  std::string name_;
  std::string temporary_;      // path to rename from; empty where there is nothing to rename
  bool never_blocks_ = false;  // a regular file, or a descriptor of our own that does not wait
  bool failed_ = false;        // a part is missing, so what follows would be misread
  std::string buffer_;
};

}  // namespace fieldpipe::io
