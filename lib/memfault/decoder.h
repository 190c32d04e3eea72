// SPDX-License-Identifier: MIT
// A byte stream with chunks in any form to lines of JSON, one for each message: the codec of mflt-decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "memfault/assembler.h"
#include "memfault/chunk_reader.h"
#include "memfault/message.h"
#include "record/framing.h"

namespace fieldpipe::memfault {

struct DecoderOptions {
  ChunkReaderOptions input;
  std::string device;                                      // of chunks that come without one
  std::size_t max_message_bytes = std::size_t{32} << 20U;  // a recording may have 16 MB
  std::optional<record::Framing> to;                       // the chunks as they are; nothing: messages as NDJSON
};

// Something that a user may want to know.
struct Remark {
  enum class Weight : std::uint8_t {
    kDetail,  // nothing is lost: a repeated chunk
    kNotice,  // it may turn out well: a gap
    kFault,   // something could not be read
  };
  Weight weight{};
  std::string text;
  bool of_input = false;  // it is about a place in the input, which the text begins with
};

class Decoder {
 public:
  explicit Decoder(DecoderOptions options);

  // The bytes that follow are another input.
  void begin_input() { reader_.begin_input(); }

  struct Step {
    std::size_t used_bytes = 0;      // to drop from the front of the window
    bool needs_input = false;        // else there is more to do with what is there
    std::optional<Message> message;  // the one that was written last; its views hold until the next call
  };

  // Takes one record from the front of `window` and appends what it completes to `out`. Fails as ChunkReader::next()
  // does.
  Result<Step> feed(Bytes window, bool at_end, std::string& out);

  // After the last input: messages that were not finished are faults.
  void finish();

  // What was remarkable since the last call; of faults and notices the first ones of a run only.
  std::vector<Remark> take_remarks() { return std::exchange(remarks_, {}); }

  // Faults that take_remarks() has not told.
  [[nodiscard]] std::uint64_t untold() const { return faults_ > kMaxTold ? faults_ - kMaxTold : 0; }

  // Appends a line for each device with what became of its chunks, and one for the run:
  //
  //   {"report":{"device":"DEMO","chunks":6,"messages":1,"lost":1,"faults":{"gap":1}}}
  //   {"report":{"records":7,"refused":1,"devices":1,"chunks":6,"messages":1,"unread":0,"lost":1,"faults":{"gap":1}}}
  void append_report(std::string& out) const;

  // The last message without run-length coding, and of which type it is.
  [[nodiscard]] const MessagePrinter& last() const { return printer_; }

  [[nodiscard]] const ChunkReader& reader() const { return reader_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

  // Messages that began and never ended well.
  [[nodiscard]] std::uint64_t lost() const { return assembler_.counts().lost; }
  [[nodiscard]] bool saw_several_devices() const { return several_devices_; }  // only known where chunks go out

 private:
  static constexpr std::uint64_t kMaxTold = 10;

  Result<std::optional<Message>> take(const ChunkRecord& record, std::string& out);
  void append_message(std::string& out, std::string_view device, const Message& message);
  void note_faults();
  void remark(Remark::Weight weight, std::string text, bool of_input = false);

  DecoderOptions options_;
  ChunkReader reader_;
  Assembler assembler_;
  MessagePrinter printer_;
  std::vector<Remark> remarks_;
  std::uint64_t refused_ = 0;   // records
  std::uint64_t messages_ = 0;  // with a right CRC
  std::uint64_t unread_ = 0;    // of them with content that could not be read
  std::uint64_t faults_ = 0;
  std::uint64_t notices_ = 0;
  std::optional<std::string> device_;  // of the chunks that went out
  bool several_devices_ = false;
};

}  // namespace fieldpipe::memfault
