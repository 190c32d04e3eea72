// SPDX-License-Identifier: MIT
// Frames to signals, by plans that are made once for each message of a database:
//
//   const Database database = *parse_dbc(text);
//   std::vector<MessagePlan> plans = make_plans(database);
//   MessageTable table;                                        // one for each bus
//   for (const MessagePlan& plan : plans) table.add(plan);     // gives the plan that was there first, if there is one
//   Decoding decoding;                                         // reused for all frames
//   if (const MessagePlan* plan = table.find(frame)) {
//     plan->decode(frame, decoding);
//     append_members(out, decoding);                           // "Speed":12.5,"Gear":3
//   }
//
// Nothing is allocated for a frame once the vectors have grown. The database must outlive its plans, and the plans the
// tables and decodings; both may be moved.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "can/dbc.h"
#include "can/decimal.h"
#include "can/frame.h"

namespace fieldpipe::can {

class MessagePlan;

// How one signal is taken out of a frame and printed.
class SignalPlan {
 public:
  explicit SignalPlan(const Signal& signal);

  [[nodiscard]] const Signal& signal() const { return *signal_; }

  // The name as JSON has it, with a colon: `"Speed":`.
  [[nodiscard]] const std::string& key() const { return key_; }

  // The raw value in the data of a frame that has at least signal().end_byte() bytes. An unsigned one is the number, a
  // signed one is sign-extended to 64 bits, a float has its own bits (16, 32 or 64) in the lowest places.
  [[nodiscard]] std::uint64_t extract(const std::array<std::byte, kMaxFdBytes>& data) const;

  // Whether a raw value has a number to print. Floats that are infinite or NaN have none, nor do values beyond the
  // range of doubles; decode() leaves both out.
  [[nodiscard]] bool is_finite(std::uint64_t raw) const { return always_finite_ || is_finite_value(raw); }

  // Writes the physical value to `to`, which has room for kMaxScaledBytes, and gives its end: see Scaling::put(). That
  // of a float is the shortest text of the double. `raw` must be finite.
  char* put_physical(char* to, std::uint64_t raw) const {
    return signal_->type == ValueType::kFloat ? put_float(to, raw) : scaling_.put(to, raw);
  }

 private:
  friend class MessagePlan;

  [[nodiscard]] bool is_finite_value(std::uint64_t raw) const;
  [[nodiscard]] double float_of(std::uint64_t raw) const;
  char* put_float(char* to, std::uint64_t raw) const;

  const Signal* signal_;
  std::uint64_t mask_;      // of the lowest length_bits
  std::uint64_t sign_bit_;  // 0 unless signed
  // Of the data the eight bytes from load_byte_ on are one number; `shift_` takes what is below the signal from it. A
  // signal over nine bytes has more in the next byte.
  std::uint16_t end_byte_;
  std::uint8_t load_byte_ = 0;
  std::uint8_t shift_ = 0;
  std::uint8_t ninth_bits_ = 0;  // bits of the signal in a ninth byte
  bool motorola_;
  bool always_finite_;
  std::uint32_t first_choice_ = 0;  // what it selects as a multiplexor, see MessagePlan
  std::uint32_t end_choice_ = 0;
  Scaling scaling_;
  std::string key_;
};

// Appends the physical value as text.
void append_physical(std::string& out, const SignalPlan& plan, std::uint64_t raw);

struct SignalValue {
  const SignalPlan* plan;
  std::uint64_t raw;  // see SignalPlan::extract()
};

// What a frame says.
struct Decoding {
  std::vector<SignalValue> values;
  // Why there are not more of them. Signals of a multiplexor that is left out itself are not counted.
  std::uint32_t beyond_frame = 0;         // signals that do not lie wholly in the data: the frame is short
  std::uint32_t unknown_multiplexer = 0;  // multiplexors whose value selects no signal
  std::uint32_t not_finite = 0;           // floats that are no number

  [[nodiscard]] bool is_complete() const { return (beyond_frame | unknown_multiplexer | not_finite) == 0; }
};

enum class Omission : std::uint8_t { kBeyondFrame, kUnknownMultiplexer, kNotFinite };

struct LeftOut {
  const Signal* signal;
  Omission why;
};

// How a message is decoded. It is compiled when it is first used, because a large database has many messages that a bus
// never carries; so not for two threads at once.
class MessagePlan {
 public:
  explicit MessagePlan(const Message& message) : message_(&message) {}

  [[nodiscard]] const Message& message() const { return *message_; }

  // All signals: first those that every frame has, in the order of the file, then those of each multiplexor.
  [[nodiscard]] std::span<const SignalPlan> signals() const {
    if (!compiled_) compile();
    return signals_;
  }

  // Replaces what `out` holds by the signals of a data frame: those in every frame in the order of the file, then those
  // that multiplexors select, outer ones first. Gives what can be given: signals of a short frame that lie wholly in
  // it, each of signals that overlap, and the others where one multiplexor has a value nobody knows; the counts of
  // `out` say what is missing. Bytes behind the message are ignored.
  void decode(const Frame& frame, Decoding& out) const;

  // The signals that the counts of decode() stand for, each multiplexor of unknown value among them.
  [[nodiscard]] std::vector<LeftOut> left_out(const Frame& frame) const;

 private:
  // Values of a multiplexor, and the signals they select. Signals of one multiplexor with the same values stand
  // together in signals_, so that a choice is a part of it.
  struct Choice {
    ValueRange values;
    std::uint64_t reach;  // largest values.last of this and all choices before it
    std::uint32_t first;
    std::uint32_t end;
  };

  template <typename Take>
  std::size_t select(const SignalPlan& multiplexor, std::uint64_t raw, Take take) const;
  template <typename Omit>
  void walk(const Frame& frame, std::vector<SignalValue>& values, Omit omit) const;

  void compile() const;

  const Message* message_;
  // What compile() makes.
  mutable bool compiled_ = false;
  mutable std::vector<SignalPlan> signals_;
  mutable std::vector<Choice> choices_;  // of one multiplexor after another, by first value
  mutable std::size_t in_every_frame_ = 0;
};

// The plans of all messages of a database.
std::vector<MessagePlan> make_plans(const Database& database);

// Appends the values as members of a JSON object, `"Speed":12.5,"Gear":3`, without braces.
void append_members(std::string& out, const Decoding& decoding);

// Finds the plan of a frame by its identifier, in constant time.
class MessageTable {
 public:
  // Adds a plan. If the table has one for the identifier, that one stays and is given back, otherwise nullptr. Messages
  // that no frame matches are not added.
  const MessagePlan* add(const MessagePlan& plan);

  // nullptr if there is none.
  [[nodiscard]] const MessagePlan* find(std::uint32_t id, bool extended) const;

  // By the whole identifier; nullptr also for all frames but data frames.
  [[nodiscard]] const MessagePlan* find(const Frame& frame) const;

  // The same, and if that gives nothing by the parameter group number of a 29-bit identifier alone (see j1939.h): of
  // several messages of one group the one added first.
  [[nodiscard]] const MessagePlan* find_j1939(const Frame& frame) const;

 private:
  // Open addressing with linear probing, at most half full. Not found: a slot without a plan.
  class Index {
   public:
    const MessagePlan*& operator[](std::uint32_t key);
    [[nodiscard]] const MessagePlan* find(std::uint32_t key) const;

   private:
    struct Slot {
      std::uint32_t key = 0;
      const MessagePlan* plan = nullptr;
    };

    [[nodiscard]] std::size_t slot_of(std::uint32_t key) const;

    std::vector<Slot> slots_ = std::vector<Slot>(16);
    std::size_t used_ = 0;
  };

  Index by_id_;
  Index by_pgn_;
};

}  // namespace fieldpipe::can
