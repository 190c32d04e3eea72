// SPDX-License-Identifier: MIT
// Chunks from byte streams: stdin, files, and a serial console that may go away and come back.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "io/input.h"
#include "io/serial_port.h"
#include "memfault/chunk_reader.h"
#include "relay/source.h"

namespace fieldpipe::relay {

// What the bytes of a stream become in the door: each record that the reader finds. Ends with what was read but is no
// whole record.
class RecordFeed {
 public:
  explicit RecordFeed(memfault::ChunkReaderOptions options);

  // Hands in what `window` holds while the door is open, and gives the bytes used. `more()` tells whether there is
  // something left to hand in. Fails as ChunkReader::next and Door::take do.
  Result<std::size_t> feed(Bytes window, bool at_end, Door& door);

  // The door closed before the window was at its end.
  [[nodiscard]] bool more() const { return more_; }

  // The bytes that follow are another input.
  void begin_input() {
    reader_.begin_input();
    before_ = reader_.count();
  }

  // The input so far is text, and holds nothing that looks like a chunk.
  [[nodiscard]] bool is_other_text() const {
    return reader_.form() == memfault::ChunkForm::kConsole && reader_.count() == before_;
  }

  // A half record stood at the end of the input.
  [[nodiscard]] const std::optional<Error>& half_record() const { return half_record_; }

 private:
  memfault::ChunkReader reader_;
  std::uint64_t before_ = 0;  // records of earlier inputs
  bool more_ = false;
  std::optional<Error> half_record_;
};

// The inputs named on the command line, one after the other, or stdin.
class InputStream final : public Source {
 public:
  // Fails with kUsage where stdin is a terminal, and with kNoInput where the first file is none.
  static Result<std::unique_ptr<Source>> create(std::vector<std::string> paths, memfault::ChunkReaderOptions options,
                                                cli::Report& report);

  void watch(io::Loop& loop) const override;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const override;
  Result<bool> turn(const io::Loop& loop, Door& door) override;
  void acknowledge() override {}
  [[nodiscard]] bool ended() const override { return ended_; }
  void stop() override {}  // turn() goes on for a moment: the far end of a pipeline is stopping, too
  Result<void> leave(io::Loop&, bool) override { return {}; }
  [[nodiscard]] std::string state() const override { return {}; }
  void add_metrics(Metrics&) const override {}

 private:
  InputStream(std::vector<std::string> paths, memfault::ChunkReaderOptions options, cli::Report& report);
  Result<void> open_next();

  cli::Report& report_;
  std::vector<std::string> paths_;
  std::size_t next_path_ = 0;
  std::optional<io::Input> input_;
  RecordFeed feed_;
  std::optional<MonotonicTime> input_ends_;  // after a stop signal
  bool ended_ = false;
};

// A serial port, which is opened again when it has gone and come back. What it printed meanwhile nobody has.
class SerialStream final : public Source {
 public:
  SerialStream(io::SerialAddress address, memfault::ChunkReaderOptions options, cli::Report& report);

  void watch(io::Loop& loop) const override;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const override;
  Result<bool> turn(const io::Loop& loop, Door& door) override;
  void acknowledge() override {}
  [[nodiscard]] bool ended() const override { return stopped_; }
  void stop() override { stopped_ = true; }
  Result<void> leave(io::Loop&, bool) override { return {}; }
  [[nodiscard]] std::string state() const override;
  void add_metrics(Metrics& metrics) const override;

 private:
  void open();

  io::SerialAddress address_;
  memfault::ChunkReaderOptions options_;
  cli::Report& report_;
  std::optional<io::SerialPort> port_;
  std::optional<RecordFeed> feed_;  // of what the port has printed since it was opened
  std::string window_;
  MonotonicTime next_attempt_{};
  bool gone_ = false;  // it will print no more
  bool told_ = false;  // that the port is not there
  bool stopped_ = false;
  std::uint64_t opened_ = 0;
};

}  // namespace fieldpipe::relay
