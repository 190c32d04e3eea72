// SPDX-License-Identifier: MIT
#include "uplink_service/options.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "cli/file.h"
#include "cli/secret.h"
#include "core/text.h"
#include "io/socket.h"
#include "mqtt/client.h"
#include "spool/options.h"

namespace fieldpipe::uplink_service {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20U;

// The spool of statuses and of records of actions: small, and not held up by the one for data. Three quarters of it are
// for any lane (lib/spool), and so for the queue of an application with the largest actions.
constexpr std::uint64_t kStatusSpoolBytes = std::uint64_t{32} << 20U;
constexpr std::uint64_t kStatusSegmentBytes = std::uint64_t{64} << 10U;
// An action of the largest kind, each character of it escaped.
constexpr std::size_t kStatusRecordBytes = std::size_t{8} << 20U;

Result<std::string> read(std::string_view option, const std::string& path) {
  auto text = cli::read_file(path, kMaxFileBytes, ErrorCode::kConfig);
  if (!text) return fail(ErrorCode::kConfig, fmt::format("--{}: {}", option, text.error().what));
  return text;
}

void warn(const std::string& path, const std::vector<std::string>& warnings, cli::Report& report) {
  for (const std::string& warning : warnings) report.warn(fmt::format("{}: {}", path, warning));
}

// What the library could only say with the first connection.
Result<void> check_authentication(const uplink::Device& device) {
  if (!device.authentication) return {};
  const uplink::Authentication& from = *device.authentication;
  for (const auto& [name, text, label] :
       {std::tuple<const char*, const std::string&, const char*>("ca_certificate", from.ca_certificate, "certificate"),
        {"device_certificate", from.device_certificate, "certificate"},
        {"device_private_key", from.device_private_key, "private key"}}) {
    if (text.empty() || io::holds_pem(text, label)) continue;
    return fail(ErrorCode::kConfig, fmt::format("authentication.{}: no {} in PEM form", name, label));
  }
  if (from.device_certificate.empty() == from.device_private_key.empty()) return {};
  return fail(ErrorCode::kConfig, "authentication: device_certificate and device_private_key go together");
}

Result<mqtt::Connection> connection_of(const Settings& settings, KeyFiles& keys) {
  const uplink::Configuration& configuration = settings.configuration;
  const uplink::Device& device = settings.device;
  mqtt::Connection to;
  to.host = device.broker;
  to.port = device.port;
  to.version = mqtt::Version::k311;  // what uplink speaks
  to.client_id = device.device_id;
  to.clean = configuration.clean_session;
  to.keepalive_s = static_cast<std::uint16_t>(configuration.keep_alive.count());
  to.send_maximum = configuration.max_inflight;
  to.patient = true;
  to.username = configuration.username;
  auto password = cli::read_secret({"mqtt.password_file", configuration.password_file, {}, "mqtt-password"});
  if (!password) return fail(std::move(password));
  to.password = *std::move(password);
  if (!device.authentication) return to;
  io::TlsFiles& tls = to.tls.emplace().files;
  const uplink::Authentication& from = *device.authentication;
  for (const auto& [name, text, path] :
       {std::tuple<const char*, const std::string&, std::string&>("ca_certificate", from.ca_certificate, tls.cafile),
        {"device_certificate", from.device_certificate, tls.cert},
        {"device_private_key", from.device_private_key, tls.key}}) {
    if (text.empty()) continue;
    auto file = keys.add(name, text);
    if (!file) return fail(std::move(file));
    path = *std::move(file);
  }
  return to;
}

std::string print_app(const uplink::App& app, const uplink::Configuration& configuration) {
  std::string text = fmt::format("app {}:", printable(app.name));
  if (!app.unix_path.empty()) text += fmt::format(" unix:{}", printable(app.unix_path));
  if (app.port != 0) {
    if (configuration.bind.empty()) text += fmt::format(" 127.0.0.1:{0} [::1]:{0}", app.port);
    for (const std::string& address : configuration.bind) {
      text += ' ' + printable(io::print_endpoint({address, app.port, {}}));
    }
  }
  for (const uplink::Route& route : app.actions) {
    text += fmt::format(", action {}", printable(route.name));
    const auto timeout = route.timeout ? route.timeout : configuration.default_action_timeout;
    text += timeout ? fmt::format(" within {}", print_duration(*timeout)) : " without a time limit";
  }
  return text;
}

std::string print_stream(const uplink::StreamSettings& stream, const uplink::Device& device) {
  return fmt::format("stream {}: {} in batches of {} or {}{}, priority {}, {}", printable(stream.name),
                     printable(uplink::stream_topic(stream, device), 300), stream.batch_size,
                     print_duration(stream.flush_period), stream.lz4 ? ", compressed" : "", stream.priority,
                     stream.durable ? "on disk" : fmt::format("in memory up to {}", print_size(stream.memory_bytes)));
}

}  // namespace

void declare(cli::OptionTable& table, Options& options) {
  table.section("Service");
  table.text("config", "FILE", options.config, "uplink's configuration, TOML")
      .letter('c')
      .completes(cli::Completes::kFiles);
  table.text("auth", "FILE", options.auth, "uplink's device file, JSON: which device, which broker, its keys")
      .letter('a')
      .completes_files(".json");
  table.flag("check-config", options.check_config, "say what both files come to, and exit");
  table.text("metrics-file", "FILE", options.metrics_path, "write figures here every 15 s, as Prometheus reads them")
      .completes(cli::Completes::kFiles);
  spool::declare(table, options.spool, "persistence_path of the configuration, else the state directory");
}

Result<std::string> KeyFiles::add(std::string_view name, std::string_view text) {
  io::Descriptor file(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC));
  if (!file) return tl::make_unexpected(io::system_error("memfd_create", errno));
  if (auto written = spool::write_at(file, as_bytes(text), 0); !written) return fail(std::move(written));
  files_.push_back(std::move(file));
  return fmt::format("/proc/self/fd/{}", files_.back().get());
}

Result<Settings> settings(const Options& options, KeyFiles& keys, cli::Report& report) {
  if (options.auth.empty()) return fail(ErrorCode::kUsage, "no device file", "--auth FILE");
  Settings to;
  to.on_full = options.spool.on_full;
  to.metrics_path = options.metrics_path;
  std::vector<std::string> warnings;
  auto text = read("auth", options.auth);
  if (!text) return fail(std::move(text));
  auto device = uplink::parse_device(*text, warnings);
  if (!device) return tl::make_unexpected(std::move(device).error().in(options.auth));
  to.device = *std::move(device);
  if (auto checked = check_authentication(to.device); !checked) {
    return tl::make_unexpected(std::move(checked).error().in(options.auth));
  }
  warn(options.auth, warnings, report);
  text->clear();
  if (!options.config.empty()) {
    text = read("config", options.config);
    if (!text) return fail(std::move(text));
  }
  auto configuration = uplink::parse_configuration(*text);
  if (!configuration) return tl::make_unexpected(std::move(configuration).error().in(options.config));
  to.configuration = *std::move(configuration);
  warn(options.config, to.configuration.warnings, report);
  for (const uplink::StreamSettings& stream : to.configuration.streams) {
    if (stream.topic.empty()) continue;
    if (auto checked = mqtt::check_topic(uplink::stream_topic(stream, to.device)); !checked) {
      return fail(ErrorCode::kConfig,
                  fmt::format("{}: streams.{}: {}", options.config, printable(stream.name), checked.error().what));
    }
  }
  const std::string actions = uplink::expand_topic(to.configuration.actions_subscription, to.device);
  if (auto checked = mqtt::check_topic(actions); !checked) {
    report.warn(fmt::format("{}: actions_subscription: {}, so no actions come", options.config, checked.error().what));
  }
  auto connection = connection_of(to, keys);
  if (!connection) return fail(std::move(connection));
  to.connection = *std::move(connection);
  return to;
}

Result<Spools> open_spools(const Options& options, const Settings& settings, cli::Report& report) {
  spool::Options data = options.spool;
  // A folder of our own within uplink's, which others may read.
  const std::string& path = settings.configuration.persistence_path;
  if (data.directory.empty() && !path.empty()) data.directory = path + "/fieldpipe";
  auto opened = spool::open(std::move(data), "uplink-serve", report);
  if (!opened) return fail(std::move(opened));
  spool::Options small;
  small.directory = opened->directory() + "/actions";
  small.max_bytes = kStatusSpoolBytes;
  small.min_free_bytes = 0;
  small.segment_bytes = kStatusSegmentBytes;
  small.acknowledgement_bytes = kStatusSegmentBytes;
  small.max_record_bytes = kStatusRecordBytes;
  small.fsync = options.spool.fsync;
  auto statuses = spool::Spool::open(std::move(small));
  if (!statuses) return tl::make_unexpected(std::move(statuses).error().in("spool"));
  spool::tell_damage(*statuses, report);
  return Spools{*std::move(opened), *std::move(statuses)};
}

std::string print_settings(const Settings& settings) {
  const auto& [configuration, device, connection, on_full, metrics_path] = settings;
  std::string text = fmt::format("device {} of project {}\nbroker {}:{}{}\n", printable(device.device_id),
                                 printable(device.project_id), printable(device.broker), device.port,
                                 device.authentication ? " with TLS" : "");
  text += fmt::format("actions from {}\n",
                      printable(uplink::expand_topic(configuration.actions_subscription, device), 300));
  for (const uplink::App& app : configuration.apps) text += print_app(app, configuration) + "\n";
  for (const uplink::StreamSettings& stream : configuration.streams) text += print_stream(stream, device) + "\n";
  text += fmt::format("other streams: at most {}, in batches of {} or {}\n", configuration.max_stream_count,
                      uplink::StreamSettings().batch_size, print_duration(uplink::StreamSettings().flush_period));
  return text;
}

}  // namespace fieldpipe::uplink_service
