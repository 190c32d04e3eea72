// SPDX-License-Identifier: MIT
// The spool between an input and the publisher: what comes is accepted first, and published from there in order.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "publisher/stored_message.h"
#include "publisher/supply.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace fieldpipe::publisher {

// What topic and properties of a record take in the spool at most, besides its payload.
inline constexpr std::size_t kMostOverheadBytes = std::size_t{256} << 10U;

// What a message says where its record does not.
struct Defaults {
  std::string topic;
  int qos = 1;
  bool retain = false;
  mqtt::Properties properties;  // before those of the record
};

// Records of the input are appended with everything that their messages say, so that options of a later run do not
// change them, and are there to be published once one fdatasync for all that was read has returned. What an earlier
// run left comes first. While the spool is full the input is not read.
//
// A record that the broker may take later comes again, behind what is under way: so it may overtake others.
class Backlog final : public Supply {
 public:
  // All references must outlive it.
  Backlog(Supply& input, spool::Spool& spool, bool drops_newest, Defaults defaults, cli::Report& report);

  Result<std::optional<Record>> next() override;
  [[nodiscard]] bool at_end() const override;
  [[nodiscard]] std::uint64_t number() const override { return number_; }  // the sequence in the spool
  [[nodiscard]] int descriptor() const override;
  [[nodiscard]] std::optional<MonotonicTime> ready_at() const override;
  Result<void> read_more() override { return input_.read_more(); }

  [[nodiscard]] bool keeps() const override { return true; }
  void take_in() override;
  [[nodiscard]] bool input_ended() const override;
  void acknowledged(std::uint64_t number) override;
  bool take_back(std::uint64_t number) override;
  bool set_aside(std::uint64_t number, const Error& why) override;
  std::uint64_t kept() override;

  // Makes progress durable and tells what was dropped. Fails with kIo.
  Result<void> close();

 private:
  [[nodiscard]] std::optional<std::size_t> append_next();
  void commit(std::uint64_t accepted_before);
  [[nodiscard]] std::string encode(const Record& record) const;
  void add_dead_letter(const spool::DeadLetter& letter);
  void close_run();
  bool forget(std::uint64_t number);

  Supply& input_;
  spool::Spool& spool_;
  bool drops_newest_;
  Defaults defaults_;
  cli::Report& report_;
  std::optional<spool::DeadLetters> dead_letters_;  // once there was one
  std::uint64_t dropped_before_;                    // by earlier runs
  std::uint64_t damaged_before_;                    // found by these
  std::uint64_t refused_ = 0;                       // for want of room, and not counted by the spool

  std::deque<std::string> in_hand_;  // records that were read and are not on the disk
  std::size_t appended_ = 0;         // so many of these the spool has, and has not committed
  bool waiting_ = false;             // there is no room for the next one
  bool more_ = false;                // the input has more without waiting
  MonotonicTime retry_at_{};         // when to look for room again
  bool input_done_ = false;
  std::optional<Error> failure_;  // of the input or of the disk: no more is read
  bool failure_told_ = false;

  std::vector<spool::Message> batch_;
  std::size_t given_of_batch_ = 0;
  StoredMessage given_;
  std::uint64_t number_ = 0;

  std::deque<spool::Sequence> open_;  // given, in this order, and not heard of again
  struct Run {
    spool::Sequence first;
    spool::Sequence last;
  };
  std::optional<Run> run_;  // acknowledged without a gap, and the spool not told yet
  bool rewinds_ = false;    // some of what was given shall be given again
  MonotonicTime rewind_at_{};
  unsigned failures_ = 0;  // in a row
};

}  // namespace fieldpipe::publisher
