// SPDX-License-Identifier: MIT
#include "mqtt/client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>

#include "core/backoff.h"
#include "core/text.h"
#include "mqtt/property_list.h"
#include "mqtt/reason.h"

namespace fieldpipe::mqtt {
namespace {

// How often the library looks after its keep-alive.
constexpr std::chrono::seconds kTick{1};

// A connection that stood for this long shows that the broker is well; the next delay is a short one.
constexpr std::chrono::seconds kStable{60};
// So many attempts without one of these in between.
constexpr unsigned kUnstable = 3;

// What we sent is not taken by the other end, nor is it refused: after so long the system gives the connection up. With
// the question of the keep-alive this finds a broker that has vanished in 1.5 times the keep-alive.
constexpr std::chrono::milliseconds kUnsentLimit{30'000};

// Nobody subscribes to it; its UNSUBACK tells that the broker has read what came before.
constexpr const char* kBarrierFilter = "fieldpipe/barrier";

constexpr const char* kSystemAuthorities = "/etc/ssl/certs";

constexpr bool means_other_version(int reason) {
  return reason == CONNACK_REFUSED_PROTOCOL_VERSION || reason == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
}

// A reason of OpenSSL or of the library in the form of our own messages: `OpenSSL Error[0]: error:0A000086:SSL
// routines::certificate verify failed` is `certificate verify failed`, and `Error: Unable to...` is `unable to...`.
std::string tls_reason(std::string_view text) {
  constexpr std::string_view kRoutines = "routines::";
  constexpr std::string_view kError = "Error: ";
  if (const auto at = text.find(kRoutines); at != std::string_view::npos) text.remove_prefix(at + kRoutines.size());
  const bool own = text.starts_with(kError);
  if (own) text.remove_prefix(kError.size());
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string reason = printable(text, 200);
  if (own && !reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z')
    reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  return reason;
}

// A name or password of the key file would be asked for on the terminal otherwise.
int no_passphrase(char*, int, int, void*) { return 0; }

}  // namespace

Result<void> check_topic(const std::string& topic) {
  if (topic.empty()) return fail(ErrorCode::kUsage, "the topic is empty");
  if (topic.find('\0') != std::string::npos || mosquitto_pub_topic_check(topic.c_str()) != MOSQ_ERR_SUCCESS ||
      mosquitto_validate_utf8(topic.data(), static_cast<int>(topic.size())) != MOSQ_ERR_SUCCESS) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no topic", printable(topic)),
                "UTF-8 of at most 65535 bytes without +, # and control characters");
  }
  return {};
}

Result<void> check_filter(const std::string& filter) {
  if (filter.empty() || filter.find('\0') != std::string::npos ||
      mosquitto_sub_topic_check(filter.c_str()) != MOSQ_ERR_SUCCESS ||
      mosquitto_validate_utf8(filter.data(), static_cast<int>(filter.size())) != MOSQ_ERR_SUCCESS) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no topic filter", printable(filter)),
                "+ stands for one whole level, # for all levels at the end");
  }
  return {};
}

bool matches(const std::string& filter, const std::string& topic) {
  bool result = false;
  return mosquitto_topic_matches_sub(filter.c_str(), topic.c_str(), &result) == MOSQ_ERR_SUCCESS && result;
}

struct Client::State {
  enum class Phase : std::uint8_t {
    kConnecting,  // in the helper thread, which owns the handle until it is joined
    kHandshake,   // TLS, CONNECT and CONNACK
    kConnected,
    kWaiting,  // for the next attempt
    kClosed,   // DISCONNECT is out
  };

  struct Subscription {
    int packet_id;
    std::vector<std::string> filters;
    int qos;
  };

  ~State() {
    if (handle != nullptr) mosquitto_destroy(handle);
  }

  Result<void> configure(bool with_trace);
  Result<void> configure_tls(const Tls& tls) const;
  Result<void> start_attempt(const std::shared_ptr<State>& self);
  Result<void> finish_attempt(const std::shared_ptr<State>& self);
  Result<void> lost(const std::shared_ptr<State>& self, Error error);
  Result<void> drain(const std::shared_ptr<State>& self, std::size_t most_messages);
  void flush();
  void note_tls();
  [[nodiscard]] bool has_data() const;
  [[nodiscard]] Error library_error(int rc, int error_number) const;
  void take_log();

  static void on_connect(mosquitto*, void* object, int reason, int flags, const mosquitto_property* properties);
  static void on_disconnect(mosquitto*, void* object, int reason, const mosquitto_property*);
  static void on_publish(mosquitto*, void* object, int packet_id, int reason, const mosquitto_property*);
  static void on_message(mosquitto*, void* object, const mosquitto_message* message,
                         const mosquitto_property* properties);
  static void on_subscribe(mosquitto*, void* object, int packet_id, int count, const int* granted,
                           const mosquitto_property*);
  static void on_unsubscribe(mosquitto*, void* object, int packet_id, const mosquitto_property*);
  static void on_log(mosquitto*, void* object, int level, const char* text);

  Connection connection;
  PropertyList connect_properties;
  int protocol = MQTT_PROTOCOL_V5;
  mosquitto* handle = nullptr;

  Phase phase = Phase::kWaiting;
  MonotonicTime phase_ends{};  // kConnecting, kHandshake: time limit; kWaiting: next attempt
  MonotonicTime connected_since{};
  MonotonicTime next_tick{};
  bool more_data = false;            // read stopped with data in hand
  std::optional<Error> write_error;  // the connection broke while writing
  unsigned failures = 0;             // in a row
  unsigned connections = 0;
  bool session_present = false;
  std::string told;          // the reason for the last outage that notices tell of
  bool told_outage = false;  // and that it is over is not told yet
  std::size_t server_window = UINT16_MAX;
  std::uint32_t server_packet_bytes = 0;  // 0: no limit
  bool properties_dropped = false;

  std::thread helper;
  io::Descriptor helper_done;  // eventfd
  int helper_rc = 0;
  int helper_errno = 0;

  // Set by callbacks during a call into the library, read right after it.
  int connack = 0;
  bool tls_established = false;
  int disconnect_reason = 0;
  int barrier_id = 0;
  std::vector<std::string> log;  // also written by the helper thread
  std::string last_error;        // of the library's log: the only place where TLS says why
  bool trace = false;

  std::deque<Subscription> subscriptions;  // without SUBACK
  std::vector<Received> received;
  std::vector<Acknowledgement> acknowledged;
  std::vector<Grant> grants;
  std::vector<std::string> notices;
};

Result<void> Client::State::configure(bool with_trace) {
  // Never undone, also not by OpenSSL when the process ends: a helper thread may be in the middle of a TLS connection
  // then, and would find its tables freed.
  [[maybe_unused]] static const int initialised = [] {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
    return mosquitto_lib_init();
  }();
  if (!connection.clean && connection.client_id.empty()) {
    return fail(ErrorCode::kUsage, "a session to come back to needs a client id", "-i, --id");
  }
  trace = with_trace;
  protocol = connection.version == Version::k31    ? MQTT_PROTOCOL_V31
             : connection.version == Version::k311 ? MQTT_PROTOCOL_V311
                                                   : MQTT_PROTOCOL_V5;
  handle = mosquitto_new(connection.client_id.empty() ? nullptr : connection.client_id.c_str(), connection.clean, this);
  if (handle == nullptr) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no client id", printable(connection.client_id)));
  }
  mosquitto_threaded_set(handle, true);  // nothing is written but by loop_write
  mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, protocol);
  mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, connection.send_maximum);
  mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, connection.receive_maximum);
  mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_connect_v5_callback_set(handle, on_connect);
  mosquitto_disconnect_v5_callback_set(handle, on_disconnect);
  mosquitto_publish_v5_callback_set(handle, on_publish);
  mosquitto_message_v5_callback_set(handle, on_message);
  mosquitto_subscribe_v5_callback_set(handle, on_subscribe);
  mosquitto_unsubscribe_v5_callback_set(handle, on_unsubscribe);
  // The library makes a line of text of each packet for it.
  if (trace || connection.tls) mosquitto_log_callback_set(handle, on_log);

  if (connection.username || connection.password) {
    const int rc = mosquitto_username_pw_set(handle, connection.username ? connection.username->c_str() : nullptr,
                                             connection.password ? connection.password->c_str() : nullptr);
    if (rc != MOSQ_ERR_SUCCESS) {
      return fail(ErrorCode::kUsage, "the user name is not valid", "before MQTT 5 a password needs a user name");
    }
  }
  if (connection.will) {
    const Will& will = *connection.will;
    if (auto checked = check_topic(will.topic); !checked) return fail(std::move(checked));
    auto properties = property_list(Packet::kWill, will.properties);
    if (!properties) return fail(std::move(properties));
    const int rc = mosquitto_will_set_v5(handle, will.topic.c_str(), static_cast<int>(will.payload.size()),
                                         will.payload.data(), will.qos, will.retain, properties->get());
    if (rc != MOSQ_ERR_SUCCESS) return fail(ErrorCode::kUsage, fmt::format("will: {}", mosquitto_strerror(rc)));
    static_cast<void>(properties->release());  // the handle's from now on
  }
  if (connection.tls) {
    if (auto configured = configure_tls(*connection.tls); !configured) return configured;
  }
  Properties properties = connection.connect_properties;
  if (connection.session_expiry_s) {
    properties.push_back({"session-expiry-interval", {}, fmt::format("{}", *connection.session_expiry_s)});
  }
  auto list = property_list(Packet::kConnect, properties);
  if (!list) return fail(std::move(list));
  connect_properties = *std::move(list);
  helper_done = io::Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!helper_done) return tl::make_unexpected(io::system_error("eventfd", errno));
  return {};
}

Result<void> Client::State::configure_tls(const Tls& tls) const {
  const io::TlsFiles& files = tls.files;
  if (auto checked = io::check_tls_files(files); !checked) return checked;
  const auto or_null = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
  // Not MOSQ_OPT_TLS_USE_OS_CERTS: with it each connection after the first fails in 2.0.11.
  const char* capath = files.cafile.empty() && files.capath.empty() ? kSystemAuthorities : or_null(files.capath);
  int rc =
      mosquitto_tls_set(handle, or_null(files.cafile), capath, or_null(files.cert), or_null(files.key), no_passphrase);
  if (rc == MOSQ_ERR_SUCCESS && !tls.version.empty()) {
    rc = mosquitto_tls_opts_set(handle, 1, tls.version.c_str(), nullptr);
  }
  if (rc == MOSQ_ERR_SUCCESS && tls.insecure) rc = mosquitto_tls_insecure_set(handle, true);
  if (rc == MOSQ_ERR_SUCCESS && !tls.alpn.empty())
    rc = mosquitto_string_option(handle, MOSQ_OPT_TLS_ALPN, tls.alpn.c_str());
  if (rc != MOSQ_ERR_SUCCESS) return fail(ErrorCode::kUsage, fmt::format("TLS: {}", mosquitto_strerror(rc)));
  return {};
}

Result<void> Client::State::start_attempt(const std::shared_ptr<State>& self) {
  phase = Phase::kConnecting;
  phase_ends = monotonic_now() + kConnectTimeout;
  connack = 0;
  tls_established = false;
  disconnect_reason = 0;
  barrier_id = 0;
  more_data = false;
  write_error.reset();
  server_window = UINT16_MAX;
  server_packet_bytes = 0;
  last_error.clear();
  subscriptions.clear();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> started;
  try {
    helper = std::thread([self] {
      State& state = *self;
      const Connection& to = state.connection;
      const char* bind_address = to.bind_address.empty() ? nullptr : to.bind_address.c_str();
      const auto* properties = state.protocol == MQTT_PROTOCOL_V5 ? state.connect_properties.get() : nullptr;
      errno = 0;
      state.helper_rc =
          mosquitto_connect_bind_v5(state.handle, to.host.c_str(), to.port, to.keepalive_s, bind_address, properties);
      state.helper_errno = errno;
      eventfd_write(state.helper_done.get(), 1);
    });
  } catch (const std::system_error& error) {
    started = fail(ErrorCode::kIo, fmt::format("helper thread: {}", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

// The helper thread is through.
Result<void> Client::State::finish_attempt(const std::shared_ptr<State>& self) {
  eventfd_t ignored = 0;
  eventfd_read(helper_done.get(), &ignored);
  helper.join();
  take_log();
  if (helper_rc != MOSQ_ERR_SUCCESS) return lost(self, library_error(helper_rc, helper_errno));
  const auto unsent_limit = static_cast<unsigned>(kUnsentLimit.count());
  setsockopt(mosquitto_socket(handle), IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_limit, sizeof(unsent_limit));
  phase = Phase::kHandshake;
  phase_ends = std::max(phase_ends, monotonic_now() + kTick);
  flush();
  return {};
}

// The connection is gone, or could not be made. Decides whether there will be another.
Result<void> Client::State::lost(const std::shared_ptr<State>& self, Error error) {
  const bool was_up = phase == Phase::kConnected;
  // With TLS 1.3 a broker that wants another client certificate says so after the handshake, and what it
  // says is lost when our CONNECT reaches a socket that it has closed.
  if (connections == 0 && !connection.patient && tls_established && phase == Phase::kHandshake && connack == 0 &&
      error.code == ErrorCode::kUnavailable && monotonic_now() < phase_ends) {
    error.code = ErrorCode::kDenied;
    error.what += " after the TLS handshake";
    error.hint = "it may want a client certificate: --cert and --key";
  }
  const bool closed_early =
      phase == Phase::kHandshake && connack == 0 && last_error.empty() && monotonic_now() < phase_ends;
  phase = Phase::kWaiting;
  more_data = false;
  if (connections == 0 && connection.version == Version::kAuto && protocol == MQTT_PROTOCOL_V5 &&
      (means_other_version(connack) || closed_early)) {
    protocol = MQTT_PROTOCOL_V311;
    mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, protocol);
    notices.emplace_back("the broker does not take MQTT 5, trying 3.1.1");
    return start_attempt(self);
  }
  // What ends an established connection may pass; what a CONNACK or the TLS peer says does not. TLS files that were
  // good once are perhaps being replaced.
  const bool final = !was_up && (error.code == ErrorCode::kDenied || error.code == ErrorCode::kRefused ||
                                 (error.code == ErrorCode::kConfig && connections == 0));
  if ((connections == 0 && !connection.patient) || final) return tl::make_unexpected(std::move(error));
  if (connections == 0 && connection.version == Version::kAuto && protocol != MQTT_PROTOCOL_V5) {
    // It was not the version after all.
    protocol = MQTT_PROTOCOL_V5;
    mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, protocol);
  }
  if (was_up && monotonic_now() - connected_since >= kStable) failures = 0;
  const auto delay = backoff(failures++, random_fraction());
  phase_ends = monotonic_now() + delay;
  // An outage of days is not told with each attempt, nor is each of a connection that never lasts.
  if (error.what != told || (was_up && failures <= kUnstable)) {
    told_outage = true;
    notices.push_back(fmt::format("{}: {}, trying again in {}", was_up ? "connection lost" : "cannot connect",
                                  error.what, print_duration(delay)));
  }
  told = std::move(error.what);
  if (was_up && failures == kUnstable && !connection.client_id.empty()) {
    notices.push_back(fmt::format("the broker ends each connection soon: another client may have the id '{}', too",
                                  printable(connection.client_id)));
  }
  return {};
}

Error Client::State::library_error(int rc, int error_number) const {
  const std::string where =
      connection.port == 0 ? connection.host : fmt::format("{}:{}", connection.host, connection.port);
  const auto error = [&](ErrorCode code, std::string what, std::string hint = {}) {
    return Error{code, fmt::format("{}: {}", where, what), std::move(hint), std::nullopt};
  };
  if (connack != 0) return reason_error(connack).in(where);
  if (disconnect_reason >= MQTT_RC_UNSPECIFIED) return reason_error(disconnect_reason).in(where);
  if (connection.tls && (!last_error.empty() || rc == MOSQ_ERR_TLS || rc == MOSQ_ERR_TLS_HANDSHAKE)) {
    const auto has = [this](const char* text) { return last_error.find(text) != std::string::npos; };
    const std::string what = fmt::format("TLS: {}", last_error.empty() ? "handshake failed" : tls_reason(last_error));
    // The library's texts for files of ours that it cannot use (lib/net_mosq.c of mosquitto 2.0).
    if (has("Unable to load") || has("certificate/key are inconsistent")) return error(ErrorCode::kConfig, what);
    // A certificate that one side does not accept is a matter of credentials; anything else may pass.
    if (has("certificate") || has("verification")) {
      return error(ErrorCode::kDenied, what,
                   "--cafile for the broker's authority, --cert and --key for our own certificate");
    }
    return error(ErrorCode::kUnavailable, what, connections == 0 ? "the broker may speak no TLS on this port" : "");
  }
  switch (rc) {
    case MOSQ_ERR_ERRNO:
      // The library's word for a TLS connection that ended without one of TLS.
      if (error_number == EPROTO) return error(ErrorCode::kUnavailable, "closed by the broker");
      return error(ErrorCode::kUnavailable, std::generic_category().message(error_number));
    case MOSQ_ERR_EAI:
    case MOSQ_ERR_LOOKUP: return error(ErrorCode::kUnavailable, "the name cannot be resolved");
    case MOSQ_ERR_CONN_LOST: return error(ErrorCode::kUnavailable, "closed by the broker");
    case MOSQ_ERR_KEEPALIVE:
      return error(ErrorCode::kUnavailable,
                   fmt::format("no answer within the keep-alive of {}s", connection.keepalive_s));
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET: return error(ErrorCode::kUnavailable, "what came is not MQTT");
    default: return error(ErrorCode::kUnavailable, mosquitto_strerror(rc));
  }
}

bool Client::State::has_data() const {
  int waiting = 0;
  const int fd = mosquitto_socket(handle);
  if (fd >= 0 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0) return true;
  auto* ssl = static_cast<SSL*>(mosquitto_ssl_get(handle));
  return ssl != nullptr && SSL_pending(ssl) > 0;
}

Result<void> Client::State::drain(const std::shared_ptr<State>& self, std::size_t most_messages) {
  do {
    note_tls();
    errno = 0;
    const int rc = mosquitto_loop_read(handle, 1);
    const int error_number = errno;
    take_log();
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(handle) < 0) {
      return lost(self,
                  library_error(rc == MOSQ_ERR_SUCCESS ? static_cast<int>(MOSQ_ERR_CONN_LOST) : rc, error_number));
    }
    more_data = has_data();
  } while (more_data && received.size() < most_messages);
  // A broker with Nagle's algorithm holds its next acknowledgement back until our kernel has
  // acknowledged the last one, which takes 40 ms when we have nothing to send. Not sticky.
  const int on = 1;
  setsockopt(mosquitto_socket(handle), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  return {};
}

void Client::State::note_tls() {
  const auto* ssl = static_cast<const SSL*>(mosquitto_ssl_get(handle));
  tls_established = ssl != nullptr && SSL_is_init_finished(ssl) != 0;
}

void Client::State::flush() {
  note_tls();
  errno = 0;
  const int rc = mosquitto_loop_write(handle, 1);
  const int error_number = errno;
  take_log();
  // The library has closed the socket; the next handle() acts on it.
  if (rc != MOSQ_ERR_SUCCESS) write_error = library_error(rc, error_number);
}

void Client::State::take_log() {
  if (trace) std::move(log.begin(), log.end(), std::back_inserter(notices));
  log.clear();
}

void Client::State::on_connect(mosquitto*, void* object, int reason, int flags, const mosquitto_property* properties) {
  State& state = *static_cast<State*>(object);
  state.connack = reason;
  if (reason != 0) return;
  std::uint16_t window = 0;
  if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &window, false) != nullptr && window > 0) {
    state.server_window = window;
  }
  mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &state.server_packet_bytes, false);
  state.session_present = (flags & 1) != 0;
  state.phase = Phase::kConnected;
  state.connected_since = monotonic_now();
  ++state.connections;
  if (std::exchange(state.told_outage, false)) state.notices.emplace_back("connected again");
}

void Client::State::on_disconnect(mosquitto*, void* object, int reason, const mosquitto_property*) {
  static_cast<State*>(object)->disconnect_reason = reason;
}

void Client::State::on_publish(mosquitto*, void* object, int packet_id, int reason, const mosquitto_property*) {
  static_cast<State*>(object)->acknowledged.push_back({packet_id, reason});
}

void Client::State::on_message(mosquitto*, void* object, const mosquitto_message* message,
                               const mosquitto_property* properties) {
  Received& to = static_cast<State*>(object)->received.emplace_back();
  to.topic = message->topic;
  if (message->payloadlen > 0)
    to.payload.assign(static_cast<const char*>(message->payload), static_cast<std::size_t>(message->payloadlen));
  to.qos = message->qos;
  to.retain = message->retain;
  to.packet_id = message->mid;
  to.properties = read_properties(properties);
  // loop_read goes on with what TLS has decrypted already unless errno says so: each call shall end
  // after one message, or it could take (and so acknowledge) more than was asked for.
  errno = EAGAIN;
}

void Client::State::on_subscribe(mosquitto*, void* object, int packet_id, int count, const int* granted,
                                 const mosquitto_property*) {
  State& state = *static_cast<State*>(object);
  const auto found = std::find_if(state.subscriptions.begin(), state.subscriptions.end(),
                                  [&](const Subscription& s) { return s.packet_id == packet_id; });
  if (found == state.subscriptions.end()) return;
  for (std::size_t i = 0; i < found->filters.size(); ++i) {
    // A SUBACK with too few codes grants nothing for the rest.
    const int code = i < static_cast<std::size_t>(count) ? granted[i] : static_cast<int>(MQTT_RC_UNSPECIFIED);
    state.grants.push_back({found->filters[i], found->qos, code});
  }
  state.subscriptions.erase(found);
}

void Client::State::on_unsubscribe(mosquitto*, void* object, int packet_id, const mosquitto_property*) {
  State& state = *static_cast<State*>(object);
  if (packet_id == state.barrier_id) state.barrier_id = 0;
}

void Client::State::on_log(mosquitto*, void* object, int level, const char* text) {
  State& state = *static_cast<State*>(object);
  if (level == MOSQ_LOG_ERR && state.last_error.empty()) state.last_error = text;
  if (state.trace) state.log.emplace_back(text);
}

Result<Client> Client::create(Connection connection, bool trace) {
  auto state = std::make_shared<State>();
  state->connection = std::move(connection);
  if (auto configured = state->configure(trace); !configured) return fail(std::move(configured));
  if (auto started = state->start_attempt(state); !started) return fail(std::move(started));
  return Client(std::move(state));
}

Client::Client(std::shared_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Client::~Client() {
  if (state_ && state_->helper.joinable()) state_->helper.detach();
}

void Client::watch(io::Loop& loop) const {
  switch (state_->phase) {
    case State::Phase::kConnecting: loop.watch(state_->helper_done.get(), POLLIN); break;
    case State::Phase::kHandshake:
    case State::Phase::kConnected:
      loop.watch(mosquitto_socket(state_->handle),
                 static_cast<short>(POLLIN | (mosquitto_want_write(state_->handle) ? POLLOUT : 0)));
      break;
    case State::Phase::kWaiting:
    case State::Phase::kClosed: break;
  }
}

MonotonicTime Client::deadline() const {
  switch (state_->phase) {
    case State::Phase::kHandshake: return std::min(state_->phase_ends, state_->next_tick);
    case State::Phase::kConnected:
      return state_->more_data || state_->write_error ? MonotonicTime{} : state_->next_tick;
    case State::Phase::kConnecting:
    case State::Phase::kWaiting: return state_->phase_ends;
    case State::Phase::kClosed: break;
  }
  return MonotonicTime::max();
}

Result<void> Client::handle(const io::Loop& loop, std::size_t most_messages) {
  State& state = *state_;
  const MonotonicTime now = monotonic_now();
  if (state.phase == State::Phase::kWaiting) {
    return now < state.phase_ends ? Result<void>() : state.start_attempt(state_);
  }
  if (state.phase == State::Phase::kConnecting) {
    if (loop.ready(state.helper_done.get(), POLLIN)) return state.finish_attempt(state_);
    if (now < state.phase_ends) return {};
    if (state.connections == 0 && !state.connection.patient) {
      return fail(ErrorCode::kUnavailable,
                  fmt::format("{}: no connection within {}", state.connection.host, print_duration(kConnectTimeout)));
    }
    // Nothing can stop the system's own attempt; there is one at a time, so its end is waited for.
    state.phase_ends = now + kConnectTimeout;
    return {};
  }
  if (state.phase == State::Phase::kClosed) return {};
  if (state.write_error) return state.lost(state_, *std::exchange(state.write_error, std::nullopt));
  if (state.more_data || loop.ready(mosquitto_socket(state.handle), POLLIN)) {
    if (auto drained = state.drain(state_, most_messages); !drained) return drained;
  }
  if (state.phase == State::Phase::kHandshake) {
    state.flush();
    if (now >= state.phase_ends) {
      return state.lost(
          state_, {ErrorCode::kUnavailable,
                   fmt::format("{}: no CONNACK within {}", state.connection.host, print_duration(kConnectTimeout)),
                   {},
                   std::nullopt});
    }
  }
  if (now >= state.next_tick && (state.phase == State::Phase::kHandshake || state.phase == State::Phase::kConnected)) {
    state.next_tick = now + kTick;
    const int rc = mosquitto_loop_misc(state.handle);
    state.take_log();
    if (rc != MOSQ_ERR_SUCCESS) return state.lost(state_, state.library_error(rc, errno));
  }
  return {};
}

void Client::write() {
  if (state_->phase == State::Phase::kConnected && mosquitto_want_write(state_->handle)) state_->flush();
}

bool Client::connected() const { return state_->phase == State::Phase::kConnected; }
unsigned Client::connections() const { return state_->connections; }
bool Client::session_present() const { return state_->session_present; }
std::size_t Client::send_window() const {
  return std::min<std::size_t>(state_->connection.send_maximum, state_->server_window);
}

Result<int> Client::publish(const Outgoing& message) {
  State& state = *state_;
  PropertyList properties;
  if (message.properties != nullptr && !message.properties->empty()) {
    if (state.protocol == MQTT_PROTOCOL_V5) {
      auto list = property_list(Packet::kPublish, *message.properties);
      if (!list) return fail(std::move(list));
      properties = *std::move(list);
    } else if (!std::exchange(state.properties_dropped, true)) {
      state.notices.emplace_back("the connection is older than MQTT 5, message properties are left out");
    }
  }
  if (message.payload.size() > MQTT_MAX_PAYLOAD) {
    return fail(ErrorCode::kRefused,
                fmt::format("{} bytes, a message holds at most {}", message.payload.size(), MQTT_MAX_PAYLOAD));
  }
  int packet_id = 0;
  const int rc =
      mosquitto_publish_v5(state.handle, &packet_id, message.topic.c_str(), static_cast<int>(message.payload.size()),
                           message.payload.data(), message.qos, message.retain, properties.get());
  switch (rc) {
    case MOSQ_ERR_SUCCESS: return packet_id;
    case MOSQ_ERR_NO_CONN:
      // Above QoS 0 the library has kept it, and publishing it again would make two.
      if (message.qos > 0) return packet_id;
      return fail(ErrorCode::kUnavailable, "not connected");
    case MOSQ_ERR_OVERSIZE_PACKET:
      return fail(ErrorCode::kRefused,
                  fmt::format("too large: {} bytes of payload, the broker takes packets of at most {}",
                              message.payload.size(), state.server_packet_bytes));
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
      return fail(ErrorCode::kRefused, fmt::format("the broker does not take QoS {}", message.qos));
    case MOSQ_ERR_RETAIN_NOT_SUPPORTED: return fail(ErrorCode::kRefused, "the broker does not retain messages");
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
      if (auto checked = check_topic(message.topic); !checked) return fail(std::move(checked));
      [[fallthrough]];
    default: return fail(ErrorCode::kRefused, mosquitto_strerror(rc));
  }
}

Result<void> Client::subscribe(std::span<const std::string> filters, int qos, unsigned options,
                               const Properties& properties) {
  State& state = *state_;
  const bool v5 = state.protocol == MQTT_PROTOCOL_V5;
  auto list = property_list(Packet::kSubscribe, properties);
  if (!list) return fail(std::move(list));
  std::vector<char*> texts;
  for (const std::string& filter : filters) texts.push_back(const_cast<char*>(filter.c_str()));
  int packet_id = 0;
  const int rc = mosquitto_subscribe_multiple(state.handle, &packet_id, static_cast<int>(texts.size()), texts.data(),
                                              qos, v5 ? static_cast<int>(options) : 0, v5 ? list->get() : nullptr);
  if (rc == MOSQ_ERR_OVERSIZE_PACKET)
    return fail(ErrorCode::kRefused, "the broker does not take a SUBSCRIBE of this size");
  if (rc != MOSQ_ERR_SUCCESS)
    return fail(ErrorCode::kUnavailable, fmt::format("subscribe: {}", mosquitto_strerror(rc)));
  state.subscriptions.push_back({packet_id, {filters.begin(), filters.end()}, qos});
  return {};
}

Result<void> Client::unsubscribe(std::span<const std::string> filters, const Properties& properties) {
  State& state = *state_;
  const bool v5 = state.protocol == MQTT_PROTOCOL_V5;
  auto list = property_list(Packet::kUnsubscribe, properties);
  if (!list) return fail(std::move(list));
  std::vector<char*> texts;
  for (const std::string& filter : filters) texts.push_back(const_cast<char*>(filter.c_str()));
  const int rc = mosquitto_unsubscribe_multiple(state.handle, nullptr, static_cast<int>(texts.size()), texts.data(),
                                                v5 ? list->get() : nullptr);
  if (rc != MOSQ_ERR_SUCCESS)
    return fail(ErrorCode::kUnavailable, fmt::format("unsubscribe: {}", mosquitto_strerror(rc)));
  return {};
}

std::vector<Received>& Client::received() { return state_->received; }
std::vector<Acknowledgement>& Client::acknowledged() { return state_->acknowledged; }
std::vector<Grant>& Client::grants() { return state_->grants; }
std::vector<std::string>& Client::notices() { return state_->notices; }

Result<void> Client::barrier(io::Loop& loop) {
  State& state = *state_;
  const MonotonicTime limit = monotonic_now() + kBarrierTimeout;
  const auto gone = [] {
    return fail(ErrorCode::kUnavailable, "the connection was lost before the broker confirmed the end");
  };
  if (!connected()) return gone();
  if (mosquitto_unsubscribe(state.handle, &state.barrier_id, kBarrierFilter) != MOSQ_ERR_SUCCESS) return gone();
  bool writing = true;  // reading would queue acknowledgements behind what is still to be written
  while (state.barrier_id != 0) {
    if (writing) {
      write();
      writing = mosquitto_want_write(state.handle);
      if (mosquitto_socket(state.handle) < 0) return gone();
      if (!writing) continue;
    }
    if (writing || !state.more_data) {
      loop.watch(mosquitto_socket(state.handle), writing ? POLLOUT : POLLIN);
      if (auto waited = loop.wait(limit); !waited) return waited;
    }
    if (!writing && (state.more_data || loop.ready(mosquitto_socket(state.handle), POLLIN))) {
      auto drained = state.drain(state_, 256);
      state.received.clear();
      if (!drained) return drained;
      if (!connected()) return gone();
    }
    if (monotonic_now() >= limit) {
      return fail(ErrorCode::kUnavailable,
                  fmt::format("the broker did not confirm the end within {}", print_duration(kBarrierTimeout)));
    }
  }
  return {};
}

Result<void> Client::abandon(io::Loop& loop) {
  State& state = *state_;
  if (!connected()) return {};
  state.phase = State::Phase::kClosed;
  const int fd = mosquitto_socket(state.handle);
  const MonotonicTime limit = monotonic_now() + kBarrierTimeout;
  ::shutdown(fd, SHUT_WR);
  std::array<char, 16384> dropped{};
  while (monotonic_now() < limit) {
    loop.watch(fd, POLLIN);
    if (auto waited = loop.wait(limit); !waited) return waited;
    if (!loop.ready(fd, POLLIN)) continue;
    const ssize_t count = ::recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) return {};
  }
  return fail(ErrorCode::kUnavailable,
              fmt::format("the broker did not close within {}", print_duration(kBarrierTimeout)));
}

Result<void> Client::disconnect(io::Loop& loop) {
  State& state = *state_;
  if (!connected()) return {};
  const MonotonicTime limit = monotonic_now() + kBarrierTimeout;
  const bool v5 = state.protocol == MQTT_PROTOCOL_V5;
  auto list = property_list(Packet::kDisconnect, state.connection.disconnect_properties);
  if (!list) return fail(std::move(list));
  mosquitto_disconnect_v5(state.handle, 0, v5 ? list->get() : nullptr);
  while (monotonic_now() < limit) {
    write();
    if (mosquitto_socket(state.handle) < 0) break;
    loop.watch(mosquitto_socket(state.handle), POLLOUT);
    if (auto waited = loop.wait(limit); !waited) return waited;
  }
  state.phase = State::Phase::kClosed;
  return {};
}

}  // namespace fieldpipe::mqtt
