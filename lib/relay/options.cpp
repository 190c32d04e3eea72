// SPDX-License-Identifier: MIT
#include "relay/options.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "cli/file.h"
#include "cli/secret.h"
#include "core/text.h"
#include "http/options.h"
#include "io/options.h"
#include "memfault/identity.h"
#include "memfault/options.h"
#include "mqtt/broker_url.h"
#include "mqtt/options.h"
#include "relay/stream.h"
#include "relay/subscription.h"
#include "spool/options.h"

namespace fieldpipe::relay {
namespace {

constexpr const char* kSetting = "source";
constexpr std::size_t kMostKeyMapBytes = std::size_t{16} << 20U;
// A session that nobody comes back to for so long is dropped by the broker, with all that waits in it.
constexpr std::chrono::days kSessionExpiry{7};
// Deliveries without acknowledgement, so records in one commit. Below what a mosquitto as installed queues for a client
// (max_queued_messages 1000), or it drops what comes beyond.
constexpr std::uint16_t kReceiveMaximum = 900;
// Of a packet, beside the chunk: the topic and properties.
constexpr std::size_t kPacketRoomBytes = std::size_t{64} << 10U;

void declare_source(cli::OptionTable& table, Options& options) {
  table.operands("FILE", options.inputs, "read chunks from these files; - is stdin")
      .part_of(kSetting, "operands")
      .completes(cli::Completes::kFiles);
  table.section("Input");
  table
      .parsed("serial", "PATH[@BAUD]", "read the console on this serial port, and wait for it where it is gone",
              [&options](std::string_view text) -> Result<void> {
                auto address = io::parse_serial_address(text);
                if (!address) return fail(std::move(address));
                options.serial = *std::move(address);
                return {};
              })
      .part_of(kSetting, "serial")
      .completes(cli::Completes::kFiles);
  memfault::declare(table, options.reader);
  record::declare(table, options.records);
  table.flag("ack", options.acknowledge, "print a line for each record once it is on the disk");
}

void declare_identity(cli::OptionTable& table, Options& options) {
  table.section("Identity");
  table.parsed("device", "SERIAL", "the device that the chunks are from, where they do not say",
               [&options](std::string_view text) -> Result<void> {
                 if (auto checked = memfault::check_device(text); !checked) {
                   return fail(ErrorCode::kUsage, std::move(checked).error().what);
                 }
                 options.device = text;
                 return {};
               });
  table
      .text("project-key-file", "FILE", options.project_key_file,
            "file with the project key; MEMFAULT_PROJECT_KEY holds the key itself")
      .completes(cli::Completes::kFiles);
  table.text("key-map", "FILE", options.key_map, "file with a serial and its project key a line")
      .completes(cli::Completes::kFiles);
}

void declare_delivery(cli::OptionTable& table, Options& options) {
  Limits& limits = options.upload.limits;
  table.section("Delivery");
  table
      .parsed("endpoint", "URL", "where chunks are delivered",
              [&options](std::string_view text) {
                options.upload.endpoint = text;
                return Result<void>();
              })
      .default_text(options.upload.endpoint);
  table.integer("connections", "COUNT", options.http.connections, std::size_t{1}, std::size_t{256},
                "requests at a time; each device has one at most");
  table.integer("batch-chunks", "COUNT", limits.batch_chunks, std::size_t{1}, std::size_t{10'000},
                "chunks in one request, at most");
  table.size("batch-bytes", limits.batch_bytes, 1, std::size_t{64} << 20U,
             "bytes of chunks in one request, unless it is a single one");
  table.duration("backoff-base", limits.backoff.base, "scales the waits after failures");
  table.duration("backoff-max", limits.backoff.most, "no wait after a failure is longer")
      .default_text("5m to 1h, by the kind of failure");
  table.duration("drain-timeout", options.relay.drain_timeout, "time limit for delivery after the end of the input");
  io::declare(table, options.stop);
  table.duration("startup-splay", options.upload.startup_splay,
                 "connect first after a wait of up to so long, by chance");
  table.flag("dry-run", options.upload.dry_run, "print requests instead of sending them; nothing is kept");
  table
      .parsed("seed", "NUMBER", "of the random part of waits",
              [&options](std::string_view text) -> Result<void> {
                options.upload.seed = parse_integer<std::uint64_t>(text);
                return options.upload.seed ? Result<void>()
                                           : fail(ErrorCode::kUsage, fmt::format("'{}' is no number", printable(text)));
              })
      .hidden()
      .command_line_only();
  table.section("Figures");
  table
      .text("metrics-file", "FILE", options.relay.metrics_file,
            "write figures here every 15 s, as Prometheus reads them")
      .completes(cli::Completes::kFiles);
}

// A name that is the same after a restart and that no other machine has.
std::string client_id() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "mflt-relay";
  return fmt::format("mflt-relay-{}", name.data());
}

Result<mqtt::Connection> connection(const Options& options) {
  mqtt::ConnectionOptions settings = options.broker;
  if (settings.id.empty()) settings.id = client_id();
  settings.keep_session = true;
  settings.session_expiry_s = static_cast<std::uint32_t>(std::chrono::seconds(kSessionExpiry).count());
  // A larger message would have to be held in memory to be refused: a broker of MQTT 5 drops it instead.
  settings.connect_properties.push_back(
      {"maximum-packet-size", {}, fmt::format("{}", options.records.max_record_bytes + kPacketRoomBytes)});
  // What is said about TLS is for both ends of the relay, so that it does not switch TLS on at this one.
  if (const auto url = mqtt::parse_broker_url(settings.broker); url && url->tls) {
    settings.tls.files = options.http.tls;
  }
  auto to = mqtt::connection(settings);
  if (to) to->receive_maximum = kReceiveMaximum;
  return to;
}

}  // namespace

void declare(cli::OptionTable& table, Options& options) {
  declare_source(table, options);
  declare_identity(table, options);
  declare_delivery(table, options);
  spool::declare(table, options.spool, "$STATE_DIRECTORY, or below $XDG_STATE_HOME");
  mqtt::declare(table, options.broker, mqtt::Letters::kSource);
  http::declare(table, options.http);
}

Result<Keys> keys(const Options& options) {
  auto key = cli::read_secret({"--project-key-file", options.project_key_file, "MEMFAULT_PROJECT_KEY", "project-key"});
  if (!key) return fail(std::move(key));
  std::string map;
  if (!options.key_map.empty()) {
    auto read = cli::read_file(options.key_map, kMostKeyMapBytes, ErrorCode::kConfig);
    if (!read) return tl::make_unexpected(std::move(read).error().in("--key-map"));
    map = *std::move(read);
  }
  return Keys::parse(key->value_or(""), map);
}

Result<std::unique_ptr<Source>> source(const Options& options, const Keys& keys, cli::Report& report) {
  memfault::ChunkReaderOptions reader = options.reader;
  reader.max_record_bytes = options.records.max_record_bytes;
  if (options.serial) {
    if (reader.form == memfault::ChunkForm::kAuto) reader.form = memfault::ChunkForm::kConsole;
    return std::make_unique<SerialStream>(*options.serial, std::move(reader), report);
  }
  if (options.broker.broker.empty()) return InputStream::create(options.inputs, std::move(reader), report);
  if (keys.empty() && !options.reader.topic.has_key()) {
    return fail(ErrorCode::kDenied, "no project key, and none in the topic",
                "--project-key-file FILE, MEMFAULT_PROJECT_KEY, or {key} in --topic");
  }
  auto to = connection(options);
  if (!to) return fail(std::move(to));
  return Subscription::create({*std::move(to), options.reader.topic, options.upload.limits.backoff,
                               options.upload.startup_splay, options.broker.debug},
                              report);
}

bool is_service(const Options& options) { return options.serial || !options.broker.broker.empty(); }

Result<Scratch> Scratch::create(const Options& options) {
  if (!options.broker.broker.empty()) {
    return fail(ErrorCode::kUsage, "--dry-run: a broker would hold what it delivers for delivered", "FILE or stdin");
  }
  std::error_code failed;
  const auto folder = std::filesystem::temp_directory_path(failed);
  std::string path = fmt::format("{}/mflt-relay-XXXXXX", folder.string());
  if (failed || ::mkdtemp(path.data()) == nullptr) {
    return tl::make_unexpected(io::system_error(path, failed ? failed.value() : errno));
  }
  return Scratch(std::move(path));
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace fieldpipe::relay
