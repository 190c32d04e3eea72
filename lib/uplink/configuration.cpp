// SPDX-License-Identifier: MIT
#include "uplink/configuration.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "json/reader.h"
#include "toml/document.h"
#include "uplink/action.h"
#include "uplink/payload.h"

namespace fieldpipe::uplink {
namespace {

// What uplink does and this does not: it is named where a file asks for it.
constexpr std::array<std::string_view, 16> kNotDone{"action_redirections",
                                                    "processes",
                                                    "script_runner",
                                                    "enable_remote_shell",
                                                    "enable_stdin_collector",
                                                    "stream_metrics",
                                                    "serializer_metrics",
                                                    "mqtt_metrics",
                                                    "system_stats",
                                                    "device_shadow",
                                                    "console",
                                                    "logging",
                                                    "downloader",
                                                    "ota_installer",
                                                    "precondition_checks",
                                                    "simulator"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

tl::unexpected<Error> refused(unsigned line, std::string_view key, std::string_view what) {
  return fail(ErrorCode::kConfig, fmt::format("line {}: {}: {}", line, printable(key), what));
}

std::optional<bool> parse_boolean(std::string_view text) {
  for (const std::string_view yes : {"true", "on", "yes", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"false", "off", "no", "0"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

// A value that says: do nothing. Asking for nothing is what is done anyway.
bool asks_for_nothing(const toml::Value& value) {
  switch (value.type) {
    case toml::Type::kArray: return value.elements.empty();
    case toml::Type::kTable: {
      const auto enabled = std::find_if(value.members.begin(), value.members.end(),
                                        [](const toml::Member& member) { return member.key == "enabled"; });
      return value.members.empty() ||
             (enabled != value.members.end() && parse_boolean(enabled->value.text) == std::optional(false));
    }
    default: return parse_boolean(value.text) == std::optional(false);
  }
}

// One table of the file. The first failure stays; keys that nobody asked for become warnings.
class Table {
 public:
  Table(const toml::Value& value, std::string path, std::vector<std::string>& warnings)
      : value_(value), path_(std::move(path)), warnings_(warnings), used_(value.members.size(), false) {
    if (value.type != toml::Type::kTable) {
      fail_at(value.line, path_, fmt::format("must be a table, is {}", toml::print_type(value.type)));
    }
  }

  const toml::Value* find(std::string_view key) {
    for (std::size_t i = 0; i < value_.members.size(); ++i) {
      if (value_.members[i].key != key) continue;
      used_[i] = true;
      return &value_.members[i].value;
    }
    return nullptr;
  }

  // The tables below `key`, one for each name; none where it is missing or something else.
  std::span<const toml::Member> tables(std::string_view key) {
    const toml::Value* value = find(key);
    if (value == nullptr) return {};
    if (value->type != toml::Type::kTable) {
      fail_at(value->line, name(key), fmt::format("must be a table, is {}", toml::print_type(value->type)));
    }
    return value->members;
  }

  void read(std::string_view key, std::string& to) {
    const toml::Value* value = scalar(key, "a string");
    if (value != nullptr) to = value->text;
  }

  void read(std::string_view key, bool& to) {
    const toml::Value* value = scalar(key, "true or false");
    if (value == nullptr) return;
    const auto flag = parse_boolean(value->text);
    if (!flag) return fail_at(value->line, name(key), fmt::format("'{}' is not true or false", printable(value->text)));
    to = *flag;
  }

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void read(std::string_view key, T& to, T least, T most) {
    const toml::Value* value = scalar(key, "a whole number");
    if (value == nullptr) return;
    const auto number = parse_integer<T>(value->text);
    if (!number || *number < least || *number > most) {
      return fail_at(value->line, name(key),
                     fmt::format("'{}' is not a whole number from {} to {}", printable(value->text), least, most));
    }
    to = *number;
  }

  void read(std::string_view key, std::chrono::seconds& to, std::int64_t most = kMaxSeconds) {
    std::int64_t count = to.count();
    read<std::int64_t>(key, count, 0, most);
    to = std::chrono::seconds(count);
  }

  void read(std::string_view key, std::optional<std::chrono::seconds>& to) {
    if (std::none_of(value_.members.begin(), value_.members.end(), [&](const auto& m) { return m.key == key; })) return;
    read(key, to.emplace());
  }

  // Takes keys that other programs need and this one does not, without a word.
  void ignore(std::string_view key) { find(key); }

  void warn(unsigned line, std::string_view key, std::string_view what) {
    warnings_.push_back(fmt::format("line {}: {}: {}", line, printable(name(key)), what));
  }

  void fail_at(unsigned line, std::string_view what, std::string_view why) {
    if (!failure_) failure_ = Result<void>(refused(line, what, why)).error();
  }

  // Ends the reading of the table.
  Result<void> finish() {
    if (failure_) return tl::make_unexpected(*failure_);
    for (std::size_t i = 0; i < value_.members.size(); ++i) {
      if (used_[i]) continue;
      const auto& [key, value] = value_.members[i];
      if (path_.empty() && is_one_of(kNotDone, key)) {
        if (!asks_for_nothing(value)) warn(value.line, key, "uplink has this, and it is not done here");
      } else {
        warn(value.line, key, "unknown key");
      }
    }
    return {};
  }

  [[nodiscard]] std::string name(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }
  [[nodiscard]] const toml::Value& value() const { return value_; }

 private:
  static constexpr std::int64_t kMaxSeconds = std::int64_t{10} * 366 * 86400;

  const toml::Value* scalar(std::string_view key, std::string_view wanted) {
    const toml::Value* value = find(key);
    if (value == nullptr) return nullptr;
    if (value->type == toml::Type::kTable || value->type == toml::Type::kArray || value->type == toml::Type::kTime) {
      fail_at(value->line, name(key), fmt::format("must be {}, is {}", wanted, toml::print_type(value->type)));
      return nullptr;
    }
    return value;
  }

  const toml::Value& value_;
  std::string path_;
  std::vector<std::string>& warnings_;
  std::vector<bool> used_;
  std::optional<Error> failure_;
};

Result<Route> read_route(const toml::Value& value, const std::string& path, std::vector<std::string>& warnings) {
  Route route;
  if (value.type == toml::Type::kString) {
    return refused(value.line, path, "an action is a table: { name = \"...\" }");
  }
  Table table(value, path, warnings);
  table.read("name", route.name);
  table.read("timeout", route.timeout);
  if (const auto* cancellable = table.find("cancellable"); cancellable != nullptr && !asks_for_nothing(*cancellable)) {
    table.warn(cancellable->line, "cancellable", "has no meaning since release 2.18: every action can be cancelled");
  }
  if (route.name.empty()) table.fail_at(value.line, path, "an action needs a name");
  if (auto finished = table.finish(); !finished) return fail(std::move(finished));
  return route;
}

Result<App> read_app(const std::string& name, const toml::Value& value, std::vector<std::string>& warnings) {
  App app;
  app.name = name;
  Table table(value, fmt::format("tcpapps.{}", name), warnings);
  table.read<std::uint16_t>("port", app.port, 1, std::numeric_limits<std::uint16_t>::max());
  table.read("unix", app.unix_path);
  if (const toml::Value* actions = table.find("actions")) {
    if (actions->type != toml::Type::kArray) {
      table.fail_at(actions->line, table.name("actions"),
                    fmt::format("must be an array, is {}", toml::print_type(actions->type)));
    }
    for (const toml::Value& element : actions->elements) {
      auto route = read_route(element, table.name("actions"), warnings);
      if (!route) return fail(std::move(route));
      app.actions.push_back(*std::move(route));
    }
  }
  if (app.port == 0 && app.unix_path.empty()) table.fail_at(value.line, table.name("port"), "is missing");
  if (auto finished = table.finish(); !finished) return fail(std::move(finished));
  return app;
}

Result<void> read_persistence(const toml::Value& value, const std::string& path, StreamSettings& stream,
                              std::vector<std::string>& warnings) {
  Table table(value, path, warnings);
  table.read<std::size_t>("max_file_size", stream.memory_bytes, 0, std::size_t{1} << 40U);
  std::size_t files = 1;
  table.read<std::size_t>("max_file_count", files, 0, std::size_t{1} << 40U);
  stream.durable = files > 0;
  return table.finish();
}

Result<void> read_stream(const toml::Value& value, StreamSettings& stream, std::vector<std::string>& warnings) {
  Table table(value, fmt::format("streams.{}", stream.name), warnings);
  table.read("topic", stream.topic);
  if (stream.topic.find_first_of(std::string_view("+#\0", 3)) != std::string::npos || stream.topic.size() > 65535) {
    table.fail_at(value.line, table.name("topic"), fmt::format("'{}' is no topic", printable(stream.topic)));
  }
  for (const std::string_view key : {"buf_size", "batch_size"}) {  // the first was its name up to release 2.10
    table.read<std::size_t>(key, stream.batch_size, 0, 1000000);
  }
  stream.batch_size = std::max<std::size_t>(stream.batch_size, 1);
  table.read("flush_period", stream.flush_period);
  table.read<std::uint8_t>("priority", stream.priority, 0, 255);
  std::string compression = stream.lz4 ? "Lz4" : "Disabled";
  table.read("compression", compression);
  stream.lz4 = compression == "Lz4";
  if (!stream.lz4 && compression != "Disabled") {
    table.fail_at(value.line, table.name("compression"),
                  fmt::format("'{}' is not one of Disabled, Lz4", printable(compression)));
  }
  if (const toml::Value* persistence = table.find("persistence")) {
    if (auto read = read_persistence(*persistence, table.name("persistence"), stream, warnings); !read) return read;
  }
  if (const auto checked = check_stream_name(stream.name); !checked) {
    warnings.push_back(fmt::format("line {}: streams.{}: {}, so its lines are refused", value.line,
                                   printable(stream.name), checked.error().what));
  }
  return table.finish();
}

Result<void> read_mqtt(const toml::Value& value, Configuration& to) {
  Table table(value, "mqtt", to.warnings);
  table.read<std::size_t>("max_packet_size", to.max_packet_size, 256, 268435455);
  table.read<std::uint16_t>("max_inflight", to.max_inflight, 1, 10000);
  table.read("keep_alive", to.keep_alive, 65535);
  table.ignore("network_timeout");  // our own limit, 10 s, is not for waiting
  std::string username;
  table.read("username", username);
  if (!username.empty()) to.username = username;
  table.read("password_file", to.password_file);
  table.read("clean_session", to.clean_session);
  if (const toml::Value* password = table.find("password")) {
    table.fail_at(password->line, "mqtt.password", "a password in this file would be read by others: password_file");
  }
  return table.finish();
}

Result<void> read_bind(Table& table, std::vector<std::string>& to) {
  const toml::Value* value = table.find("bind");
  if (value == nullptr) return {};
  const bool list = value->type == toml::Type::kArray;
  for (const toml::Value& address : list ? std::span(value->elements) : std::span(value, 1)) {
    if (address.type != toml::Type::kString || address.text.empty()) {
      return refused(address.line, "bind", "must be an address, as \"0.0.0.0\", or an array of them");
    }
    to.push_back(address.text);
  }
  return {};
}

std::vector<StreamSettings> builtin_streams() {
  StreamSettings status;
  status.name = kResponseStream;
  status.topic = "/tenants/{tenant_id}/devices/{device_id}/action/status";
  status.batch_size = 1;
  status.flush_period = std::chrono::seconds(2);
  status.priority = 255;
  StreamSettings shadow;
  shadow.name = "device_shadow";
  shadow.flush_period = std::chrono::seconds(5);
  StreamSettings logs;
  logs.name = "logs";
  logs.batch_size = 32;
  return {std::move(status), std::move(shadow), std::move(logs)};
}

Result<void> check_apps(const std::vector<App>& apps) {
  for (auto app = apps.begin(); app != apps.end(); ++app) {
    for (auto other = apps.begin(); other != app; ++other) {
      if ((app->port != 0 && app->port == other->port) ||
          (!app->unix_path.empty() && app->unix_path == other->unix_path)) {
        return fail(ErrorCode::kConfig, fmt::format("tcpapps.{}: the port of tcpapps.{} too", printable(app->name),
                                                    printable(other->name)));
      }
    }
  }
  std::vector<std::pair<std::string_view, std::string_view>> seen;
  for (const App& app : apps) {
    for (const Route& route : app.actions) {
      const auto twice = std::find_if(seen.begin(), seen.end(), [&](const auto& s) { return s.first == route.name; });
      if (twice != seen.end()) {
        return fail(ErrorCode::kConfig,
                    fmt::format("tcpapps.{}: action {} belongs to tcpapps.{} already", printable(app.name),
                                printable(route.name), printable(twice->second)));
      }
      seen.emplace_back(route.name, app.name);
    }
  }
  return {};
}

}  // namespace

Result<Device> parse_device(std::string_view text, std::vector<std::string>& warnings) {
  constexpr std::array<std::string_view, 5> kKeys{"project_id", "device_id", "broker", "port", "authentication"};
  json::Reader reader;
  Device device;
  std::array<bool, kKeys.size()> seen{};
  reader.open(text);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    const auto known = std::find(kKeys.begin(), kKeys.end(), key);
    if (known == kKeys.end()) {
      warnings.push_back(fmt::format("{}: unknown key", printable(key)));
      continue;
    }
    reader.once(seen[static_cast<std::size_t>(known - kKeys.begin())]);
    if (key == "project_id") {
      device.project_id = reader.string();
    } else if (key == "device_id") {
      device.device_id = reader.string();
    } else if (key == "broker") {
      device.broker = reader.string();
    } else if (key == "port") {
      const std::int64_t port = reader.integer();
      if (reader.ok() && (port < 1 || port > 65535)) reader.refuse(fmt::format("{} is not from 1 to 65535", port));
      device.port = static_cast<std::uint16_t>(port);
    } else if (reader.type() == json::Type::kObject) {
      Authentication& to = device.authentication.emplace();
      reader.enter_object();
      while (reader.next_member()) {
        if (reader.key() == "ca_certificate") to.ca_certificate = reader.string();
        if (reader.key() == "device_certificate") to.device_certificate = reader.string();
        if (reader.key() == "device_private_key") to.device_private_key = reader.string();
      }
    } else if (reader.type() != json::Type::kNull) {
      reader.refuse("must be an object");
    }
  }
  if (auto read = reader.finish(); !read) {
    return fail(ErrorCode::kConfig, std::move(read).error().what);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (!seen[i]) return fail(ErrorCode::kConfig, fmt::format("{} is missing", kKeys[i]));
  }
  for (const std::string* level : {&device.project_id, &device.device_id}) {
    if (!check_stream_name(*level)) {
      return fail(ErrorCode::kConfig,
                  fmt::format("{}: '{}' cannot be a level of a topic",
                              level == &device.project_id ? "project_id" : "device_id", printable(*level)));
    }
  }
  if (device.broker.empty()) return fail(ErrorCode::kConfig, "broker is empty");
  return device;
}

Result<Configuration> parse_configuration(std::string_view text) {
  auto document = toml::parse_document(text);
  if (!document) return fail(std::move(document));
  Configuration to;
  to.streams = builtin_streams();
  Table top(*document, {}, to.warnings);
  for (const auto& [name, value] : top.tables("tcpapps")) {
    auto app = read_app(name, value, to.warnings);
    if (!app) return fail(std::move(app));
    to.apps.push_back(*std::move(app));
  }
  for (const auto& [name, value] : top.tables("streams")) {
    auto stream = std::find_if(to.streams.begin(), to.streams.end(), [&](const auto& s) { return s.name == name; });
    if (stream == to.streams.end()) {
      to.streams.emplace_back().name = name;
      stream = to.streams.end() - 1;
    }
    if (auto read = read_stream(value, *stream, to.warnings); !read) return fail(std::move(read));
    if (name == kResponseStream) stream->batch_size = 1;  // a status goes up at once, by itself
  }
  if (const toml::Value* mqtt = top.find("mqtt")) {
    if (auto read = read_mqtt(*mqtt, to); !read) return fail(std::move(read));
  }
  if (auto read = read_bind(top, to.bind); !read) return fail(std::move(read));
  top.read("persistence_path", to.persistence_path);
  top.read<std::size_t>("max_stream_count", to.max_stream_count, 0, 100000);
  top.read("actions_subscription", to.actions_subscription);
  top.read("prioritize_live_data", to.prioritize_live_data);
  top.read("default_action_timeout", to.default_action_timeout);
  top.read("action_queue_age", to.action_queue_age);
  top.read("check_action_status", to.check_action_status);
  // How long uplink waits at its end, what it did up to release 2.17, and a table it has ignored since: none changes
  // what happens here.
  for (const std::string_view key :
       {"wait_for_disk", "ignore_actions_if_no_clients", "default_buf_size", "action_status"}) {
    top.ignore(key);
  }
  if (auto finished = top.finish(); !finished) return fail(std::move(finished));
  if (auto checked = check_apps(to.apps); !checked) return fail(std::move(checked));
  return to;
}

std::string expand_topic(std::string_view pattern, const Device& device) {
  std::string topic;
  while (!pattern.empty()) {
    bool replaced = false;
    for (const auto& [name, value] : {std::pair<std::string_view, const std::string&>("{tenant_id}", device.project_id),
                                      {"{device_id}", device.device_id}}) {
      if (!pattern.starts_with(name)) continue;
      topic += value;
      pattern.remove_prefix(name.size());
      replaced = true;
      break;
    }
    if (replaced) continue;
    topic += pattern.front();
    pattern.remove_prefix(1);
  }
  return topic;
}

std::string stream_topic(const StreamSettings& stream, const Device& device) {
  if (!stream.topic.empty()) return expand_topic(stream.topic, device);
  return fmt::format("/tenants/{}/devices/{}/events/{}/jsonarray{}", device.project_id, device.device_id, stream.name,
                     stream.lz4 ? "/lz4" : "");
}

}  // namespace fieldpipe::uplink
