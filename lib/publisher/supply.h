// SPDX-License-Identifier: MIT
// What a publisher takes its records from: the input itself, or a spool between the two.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "mqtt/message.h"

namespace fieldpipe::publisher {

// One message. What is not set is not in the record, and the options hold. Valid until the next one is asked for.
struct Record {
  Bytes payload;
  const std::string* topic = nullptr;
  std::optional<int> qos;
  std::optional<bool> retain;
  mqtt::Properties properties;
};

class Supply {
 public:
  Supply() = default;
  Supply(Supply&&) = default;
  Supply& operator=(Supply&&) = default;
  Supply(const Supply&) = delete;
  Supply& operator=(const Supply&) = delete;
  virtual ~Supply() = default;

  // The next record that is there without waiting. Nothing: the supply has ended, or descriptor() has to become
  // readable, or ready_at() to pass. Fails with kBadData as the framing says.
  virtual Result<std::optional<Record>> next() = 0;

  // No record will come.
  [[nodiscard]] virtual bool at_end() const = 0;

  // The number of the record given last, for messages about it and for the calls below.
  [[nodiscard]] virtual std::uint64_t number() const = 0;

  // To wait on for input, -1 if there is none to wait for.
  [[nodiscard]] virtual int descriptor() const = 0;
  [[nodiscard]] virtual std::optional<MonotonicTime> ready_at() const = 0;

  // Reads what descriptor() has. Fails with kIo.
  virtual Result<void> read_more() = 0;

  // The rest matters to a supply that keeps its records until they are acknowledged.

  // Whether it does. Its input is read also when nothing can be published.
  [[nodiscard]] virtual bool keeps() const { return false; }

  // Takes in what was read. To be called in each turn.
  virtual void take_in() {}

  // No more input comes.
  [[nodiscard]] virtual bool input_ended() const { return at_end(); }

  // The broker has taken the record.
  virtual void acknowledged(std::uint64_t /*number*/) {}

  // The record may be taken later: next() shall give it again. False: it will not.
  virtual bool take_back(std::uint64_t /*number*/) { return false; }

  // The record is refused for good: it shall not come again, and is kept where it can be looked at. False: it is not
  // kept.
  virtual bool set_aside(std::uint64_t /*number*/, const Error& /*why*/) { return false; }

  // Records that are kept, and not acknowledged.
  virtual std::uint64_t kept() { return 0; }
};

}  // namespace fieldpipe::publisher
