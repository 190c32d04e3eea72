// SPDX-License-Identifier: MIT
// What mqtt-pub can be told about its messages, and what becomes of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/option_table.h"
#include "core/result.h"
#include "io/loop.h"
#include "mqtt/options.h"
#include "publisher/publisher.h"
#include "publisher/source.h"
#include "record/options.h"
#include "spool/options.h"

namespace fieldpipe::publisher {

struct Options {
  std::string topic;
  std::string topic_file;
  std::optional<std::string> message;
  std::string file;
  bool lines = false;
  bool whole = false;
  bool nothing = false;
  std::optional<record::Framing> from = record::Framing::kAuto;  // nothing: envelopes
  std::optional<int> qos;
  bool retain = false;
  std::uint64_t repeat = 1;
  std::chrono::nanoseconds repeat_delay{0};
  std::uint32_t messages_per_second = 0;  // 0: no limit
  std::uint16_t inflight = 100;
  std::optional<std::chrono::nanoseconds> deadline;
  std::chrono::nanoseconds drain_timeout = std::chrono::minutes(5);
  record::RecordOptions records;
  spool::Options spool;  // no directory: no spool
  mqtt::ConnectionOptions connection;
};

// Declares what says which messages, under which topic, and how fast. The options of the connection are declared by
// mqtt::declare(), after these.
void declare(cli::OptionTable& table, Options& options);

// Starts the time limit. Fails with kUsage where there is no topic or it is none, and as cli::read_secret does.
Result<Settings> settings(const Options& options);

// Reads -f and -s to the end: nothing when a stop signal came meanwhile. Fails as read_whole does, and with kUsage for
// records from a terminal.
Result<std::optional<Source>> source(const Options& options, io::Loop& loop);

}  // namespace fieldpipe::publisher
