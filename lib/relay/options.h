// SPDX-License-Identifier: MIT
// What mflt-relay can be told, and what becomes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "cli/report.h"
#include "core/result.h"
#include "http/client.h"
#include "io/options.h"
#include "io/serial_port.h"
#include "memfault/chunk_reader.h"
#include "mqtt/options.h"
#include "record/options.h"
#include "relay/keys.h"
#include "relay/relay.h"
#include "relay/source.h"
#include "relay/uploader.h"
#include "spool/spool.h"

namespace fieldpipe::relay {

struct Options {
  // The source: one of these three, else stdin.
  std::vector<std::string> inputs;
  std::optional<io::SerialAddress> serial;
  mqtt::ConnectionOptions broker;
  memfault::ChunkReaderOptions reader;
  record::RecordOptions records;

  std::string device;
  std::string project_key_file;
  std::string key_map;
  UploadSettings upload;
  http::ClientOptions http;
  spool::Options spool;
  RelaySettings relay;
  io::StopOptions stop;
  bool acknowledge = false;  // --ack
};

// Declares all options of mflt-relay.
void declare(cli::OptionTable& table, Options& options);

// Reads the configured keys. Fails as cli::read_secret and Keys::parse do.
Result<Keys> keys(const Options& options);

// Opens the source. Fails as the sources do, and with kDenied for a project key that the topic does not name and nobody
// configured.
Result<std::unique_ptr<Source>> source(const Options& options, const Keys& keys, cli::Report& report);

// Whether the source never ends by itself, so that HUP is a request to reload.
bool is_service(const Options& options);

// The spool of a dry run, in a folder of its own that is gone in the end: nothing is accepted, and nothing that was is
// touched. Fails with kIo and kUsage for a source that acknowledges.
class Scratch {
 public:
  static Result<Scratch> create(const Options& options);
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Scratch& operator=(Scratch&&) = delete;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace fieldpipe::relay
