// SPDX-License-Identifier: MIT
#include "mqtt/options.h"

#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "cli/secret.h"
#include "core/text.h"
#include "mqtt/broker_url.h"
#include "mqtt/property_list.h"

namespace fieldpipe::mqtt {
namespace {

constexpr std::uint16_t kTlsPort = 8883;
constexpr const char* kSetting = "broker";

// `-D COMMAND PROPERTY VALUE`, and `-D COMMAND user-property KEY VALUE`.
Result<void> store_property(ConnectionOptions& options, std::span<const std::string> values) {
  struct Command {
    std::string_view name;
    Packet packet;
    Properties& properties;
  };
  const std::array commands{Command{"connect", Packet::kConnect, options.connect_properties},
                            Command{"publish", Packet::kPublish, options.publish_properties},
                            Command{"subscribe", Packet::kSubscribe, options.subscribe_properties},
                            Command{"unsubscribe", Packet::kUnsubscribe, options.unsubscribe_properties},
                            Command{"disconnect", Packet::kDisconnect, options.disconnect_properties},
                            Command{"will", Packet::kWill, options.will.properties}};
  for (const Command& command : commands) {
    if (command.name != values[0]) continue;
    const bool pair = values[1] == "user-property";
    if (values.size() != (pair ? 4U : 3U)) {
      return fail(ErrorCode::kUsage,
                  fmt::format("{} takes {}", printable(values[1]), pair ? "a key and a value" : "one value"));
    }
    Property property{values[1], pair ? values[2] : "", values.back()};
    if (auto checked = check_property(command.packet, property); !checked) return checked;
    command.properties.push_back(std::move(property));
    return {};
  }
  return fail(ErrorCode::kUsage,
              fmt::format("'{}' is not one of connect, publish, subscribe, unsubscribe, disconnect, will",
                          printable(values[0])));
}

void declare_all(cli::OptionTable& table, ConnectionOptions& options) {
  table.text("host", "HOST", options.host, "name or address of the broker").letter('h').part_of(kSetting, "host");
  table
      .integer("port", "PORT", options.port, std::uint16_t{1}, std::numeric_limits<std::uint16_t>::max(),
               "port of the broker; 8883 switches TLS on")
      .letter('p')
      .part_of(kSetting, "host")
      .default_text("1883, with TLS 8883");
  table.text("unix", "PATH", options.unix_path, "unix socket of the broker")
      .part_of(kSetting, "unix")
      .completes(cli::Completes::kFiles);
  table
      .parsed("url", "URL", "broker and topic: mqtt://[user@]host[:port]/topic, or with mqtts",
              [&options](std::string_view text) {
                auto url = parse_broker_url(text);
                if (!url) return Result<void>(fail(std::move(url)));
                options.url = text;
                options.url_topic = url->topic;
                return Result<void>();
              })
      .letter('L')
      .part_of(kSetting, "url");
}

void declare_session(cli::OptionTable& table, ConnectionOptions& options) {
  table.text("id-prefix", "PREFIX", options.id_prefix, "client id made of this and the process id")
      .letter('I')
      .part_of("id", "id-prefix");
  table
      .parsed("pw", "PASSWORD", "refused, see --password-file",
              [](std::string_view) -> Result<void> {
                return fail(ErrorCode::kUsage,
                            "a password on the command line would be visible to every user of this machine",
                            "--password-file");
              })
      .letter('P')
      .hidden()
      .command_line_only();
  table
      .flag("disable-clean-session", options.keep_session,
            "keep the session on the broker: subscriptions and undelivered messages")
      .letter('c');
  table
      .integer("session-expiry-interval", "SECONDS", options.session_expiry_s, std::uint32_t{0},
               std::numeric_limits<std::uint32_t>::max(), "how long the broker keeps the session (MQTT 5)")
      .letter('x')
      .default_text("with -c for ever, else 0");
  table
      .choice("protocol-version", "VERSION", options.version,
              {{"auto", Version::kAuto},
               {"5", Version::k5},
               {"mqttv5", Version::k5},
               {"311", Version::k311},
               {"mqttv311", Version::k311},
               {"31", Version::k31},
               {"mqttv31", Version::k31}},
              "version of MQTT; auto is 5, and 3.1.1 where the broker does not know it")
      .letter('V');
  table.text("bind", "ADDRESS", options.bind_address, "local address to connect from").letter('A');
  table.flag("nodelay", options.no_delay, "accepted; small packets are never held back");
  table
      .parsed_values("property", "COMMAND NAME VALUE",
                     "MQTT 5 property of a packet; user-property takes a key and a value",
                     [&options](std::span<const std::string> values) { return store_property(options, values); })
      .letter('D')
      .repeats()
      .values(3, 4);
  table.text("will-topic", "TOPIC", options.will.topic,
             "topic of the message that the broker sends when we are gone without notice");
  table.text("will-payload", "TEXT", options.will.payload, "payload of that message");
  table.integer("will-qos", "QOS", options.will.qos, 0, 2, "QoS of that message");
  table.flag("will-retain", options.will.retain, "retain that message");
}

Result<void> locate(const ConnectionOptions& options, Connection& to, bool& tls) {
  const std::string& text = options.url.empty() ? options.broker : options.url;
  if (!options.unix_path.empty()) {
    to.host = options.unix_path;
    to.port = 0;
  } else if (!text.empty()) {
    auto url = parse_broker_url(text);
    if (!url) return fail(std::move(url));
    to.host = url->host;
    to.port = url->port;
    tls = tls || url->tls || url->port == kTlsPort;
    if (!url->username.empty()) to.username = url->username;
  } else {
    to.host = options.host;
    tls = tls || options.port == kTlsPort;
    to.port = options.port != 0 ? options.port : tls ? kTlsPort : std::uint16_t{1883};
  }
  return {};
}

}  // namespace

void declare(cli::OptionTable& table, ConnectionOptions& options, Letters letters) {
  const bool all = letters == Letters::kMosquitto;
  const auto with = [all](cli::Option& option, char letter) -> cli::Option& {
    return all ? option.letter(letter) : option;
  };
  table.section("Broker");
  if (all) declare_all(table, options);
  table
      .parsed("broker", "URL", "the broker: mqtt://[user@]host[:port], mqtts://... or unix:PATH",
              [&options](std::string_view text) -> Result<void> {
                auto url = parse_broker_url(text);
                if (!url) return fail(std::move(url));
                if (!url->topic.empty()) return fail(ErrorCode::kUsage, "a topic does not belong here");
                options.broker = text;
                return {};
              })
      .part_of(all ? kSetting : "source", "broker")
      .default_text(all ? "mqtt://localhost" : "");
  with(table.text("id", "ID", options.id, "client id").part_of("id", "id"), 'i')
      .default_text(all ? "made up by the broker" : "made of the tool's and the machine's name");
  with(table.text("username", "NAME", options.username, "user name"), 'u');
  table.text("password-file", "FILE", options.password_file, "file with the password; /dev/fd/N is a descriptor")
      .completes(cli::Completes::kFiles);
  with(table.parsed("keepalive", "SECONDS", "time without traffic before the broker is asked for a sign of life",
                    [&options](std::string_view text) -> Result<void> {
                      const auto value = parse_integer<std::uint16_t>(text);
                      if (!value || (*value > 0 && *value < 5))
                        return fail(ErrorCode::kUsage,
                                    fmt::format("'{}' is neither 0 nor from 5 to 65535", printable(text)));
                      options.keepalive_s = *value;
                      return {};
                    }),
       'k')
      .default_text(fmt::format("{}", options.keepalive_s));
  if (all) declare_session(table, options);
  with(table.flag("debug", options.debug, "tell each packet on stderr"), 'd');

  if (!all) return;
  table.section("TLS");
  table.text("cafile", "FILE", options.tls.files.cafile, "certificates of the authorities to trust")
      .completes(cli::Completes::kFiles)
      .default_text("the system's");
  table.text("capath", "DIRECTORY", options.tls.files.capath, "directory with such certificates")
      .completes(cli::Completes::kDirectories);
  table.text("cert", "FILE", options.tls.files.cert, "our certificate").completes(cli::Completes::kFiles);
  table.text("key", "FILE", options.tls.files.key, "its private key, not encrypted").completes(cli::Completes::kFiles);
  table.text("tls-alpn", "PROTOCOL", options.tls.alpn, "application protocol to ask for, as x-amzn-mqtt-ca");
  table.choice("tls-version", "VERSION", options.tls.version,
               {{"tlsv1.2", std::string("tlsv1.2")}, {"tlsv1.3", std::string("tlsv1.3")}},
               "oldest version of TLS to speak");
  table.flag("tls-use-os-certs", options.system_authorities, "use TLS and trust the system's authorities");
  table.flag("insecure", options.tls.insecure, "do not check that the broker's certificate is for this host");
}

Result<Connection> connection(const ConnectionOptions& options) {
  Connection to;
  const Tls& tls = options.tls;
  const io::TlsFiles& files = tls.files;
  bool with_tls = !files.cafile.empty() || !files.capath.empty() || !files.cert.empty() || !files.key.empty() ||
                  options.system_authorities || tls.insecure;
  if (auto located = locate(options, to, with_tls); !located) return fail(std::move(located));
  if (to.port == 0 && to.host.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorCode::kUsage, fmt::format("path of a unix socket of {} bytes, the system takes at most {}",
                                               to.host.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  if (with_tls) {
    if (to.port == 0) return fail(ErrorCode::kUsage, "TLS options do not go together with a unix socket");
    to.tls = tls;
  }
  to.client_id = options.id_prefix.empty() ? options.id : fmt::format("{}{}", options.id_prefix, ::getpid());
  if (!options.username.empty()) to.username = options.username;
  auto password = cli::read_secret({"--password-file", options.password_file, {}, "mqtt-password"});
  if (!password) return fail(std::move(password));
  to.password = *std::move(password);
  to.keepalive_s = options.keepalive_s;
  to.clean = !options.keep_session;
  if (options.keep_session && (options.id.empty() || !options.id_prefix.empty())) {
    return fail(ErrorCode::kUsage, "--disable-clean-session: a session to come back to needs a client id", "-i, --id");
  }
  // Without an interval the session of MQTT 5 ends with the connection, which is not what -c asks for.
  to.session_expiry_s = options.session_expiry_s;
  if (options.keep_session && !to.session_expiry_s) to.session_expiry_s = std::numeric_limits<std::uint32_t>::max();
  to.version = options.version;
  to.bind_address = options.bind_address;
  if (!options.will.topic.empty()) {
    to.will = options.will;
  } else if (!options.will.payload.empty() || options.will.qos != 0 || options.will.retain ||
             !options.will.properties.empty()) {
    return fail(ErrorCode::kUsage, "a will needs --will-topic");
  }
  to.connect_properties = options.connect_properties;
  to.disconnect_properties = options.disconnect_properties;
  return to;
}

}  // namespace fieldpipe::mqtt
