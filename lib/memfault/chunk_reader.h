// SPDX-License-Identifier: MIT
// The forms in which chunks come on a pipe, as one stream of chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"
#include "json/reader.h"
#include "memfault/topic.h"
#include "record/envelope.h"
#include "record/framing.h"

namespace fieldpipe::memfault {

enum class ChunkForm : std::uint8_t {
  kAuto,      // told once by the first record: frames, a JSON object and its keys, hex, else a console
  kFrames,    // record/framing.h, one chunk a frame
  kWhole,     // the input is one chunk
  kHex,       // one chunk a line
  kBase64,    // one chunk a line; never guessed, because hex is valid base64
  kConsole,   // MC: records in a text, see console_text.h
  kNdjson,    // {"device":"S","chunk":"base64","project_key":"K"} a line; the key may be missing
  kEvents,    // {"topic":"T","data":"base64"} a line, as the documentation's cloud rule makes them
  kEnvelope,  // record/envelope.h, a chunk as payload
};

// The word for a form, as --from has it.
std::string_view print_form(ChunkForm form);

struct ChunkReaderOptions {
  ChunkForm form = ChunkForm::kAuto;
  bool whole_records = false;  // refuse a record whose end is missing: a last line of hex or base64, a cut frame
  std::size_t max_record_bytes = record::kDefaultMaxRecordBytes;  // of a chunk
  TopicTemplate topic = *TopicTemplate::parse(kDefaultTopic);     // says where the device stands in a topic
};

// One record of the input. All views hold until the reader is called again or the window changes.
struct ChunkRecord {
  std::uint64_t number = 0;      // of all records, refused ones included, counted from 1; see ChunkReader
  std::uint64_t line = 0;        // where it is, counted from 1 in each input; 0 where the form has no lines
  std::string_view device;       // checked (identity.h); empty: the form does not say
  std::string_view project_key;  // the same
  Bytes chunk;                   // at least one byte
  std::string refusal;           // not empty: the record is no chunk, for this reason; what stands above is empty but
                                 // for number and line
  std::string_view reason;       // the refusal in one word: bad-record, bad-device-id, bad-key, bad-topic, empty,
                                 // oversize, retained or unterminated
  std::string_view raw;         // what was refused: its chunk where that was understood, else its text or its start, in
                                // which no project key is left
  std::uint64_t raw_bytes = 0;  // how long that was, where `raw` is its start

  [[nodiscard]] bool refused() const { return !refusal.empty(); }
};

// Cuts a stream into chunks. Pure: it is shown the unread bytes and says what it took.
//
//   48540200a7...\n802c...\n               two records
//   [00:01] <inf> MC:SFQC...: MC:gCx0...:  two records; text without one is none
//   {"device":"../x","chunk":"SFQC"}       one record, refused
//
// A record is a frame, a line that is not blank, or an MC: mark with base64 behind it.
class ChunkReader {
 public:
  explicit ChunkReader(ChunkReaderOptions options);

  // The bytes that follow are another input, whose form is told anew. Numbers go on.
  void begin_input();

  struct Step {
    std::size_t used_bytes = 0;           // to drop from the front of the window, after the record was used
    const ChunkRecord* record = nullptr;  // nothing: show more input
  };

  // Takes the next record from the front of `window`. `at_end` says that no more bytes follow it. Fails with kBadData
  // when the input cannot be read on: a damaged or cut frame, JSON of no form that is known. What was taken before
  // stays good.
  Result<Step> next(Bytes window, bool at_end);

  // What the form of this input is; kAuto while it is not known.
  [[nodiscard]] ChunkForm form() const { return form_; }

  // Records given so far.
  [[nodiscard]] std::uint64_t count() const { return record_.number; }

  // Lines begun in this input so far; 0 where the form has no lines.
  [[nodiscard]] std::uint64_t lines() const { return lines_; }

 private:
  struct Line {
    std::size_t used_bytes;
    std::uint64_t bytes;    // of the whole line
    std::string_view text;  // without LF and white space at both ends
    bool too_long;
    bool ended;
  };
  Result<bool> detect(Bytes window, bool at_end);
  Result<ChunkForm> detect_json(std::string_view line);
  Result<Step> next_framed(Bytes window, bool at_end);
  Step next_console(Bytes window, bool at_end);
  Step next_line(Bytes window, bool at_end);
  std::optional<Line> take_line(Bytes window, bool at_end);
  Result<void> read_line(std::string_view line);
  Result<void> read_ndjson(std::string_view line);
  Result<void> read_event(std::string_view line);
  Result<void> read_envelope(std::string_view line);
  Result<void> read_topic(std::string_view topic);
  Result<void> check_identity(bool with_key);
  void begin_record(std::uint64_t line);
  tl::unexpected<Error> refuse(std::string_view reason, std::string what);
  tl::unexpected<Error> refuse_oversize(std::uint64_t bytes);
  Step give(std::size_t used_bytes, Result<void> read, std::string_view text, std::uint64_t text_bytes = 0);

  ChunkReaderOptions options_;
  ChunkForm form_;
  std::optional<record::Splitter> splitter_;  // of frames and whole
  std::uint64_t lines_ = 0;
  std::uint64_t skipped_bytes_ = 0;  // of a line longer than any may be; 0: there is none
  std::size_t dropped_bytes_ = 0;    // of these, at the end of the window
  std::string start_;                // of it
  std::string raw_;
  ChunkRecord record_;
  std::string chunk_;
  record::Envelope envelope_;
  json::Reader reader_;
};

}  // namespace fieldpipe::memfault
