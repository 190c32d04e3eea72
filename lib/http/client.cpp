// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::http {
namespace {

using std::string_view_literals::operator""sv;

constexpr const char* kSystemAuthorities = "/etc/ssl/certs";
constexpr long kStallBytesPerSecond = 100;
constexpr std::size_t kMostErrorBytes = 200;
constexpr long kProxyAuthenticationRequired = 407;

// What libcurl would say by itself: the type of a web form, any type, and, before bodies of more than 1 MiB, that it
// waits for a 100 (Continue). Such a line takes nothing from one with a value.
constexpr std::string_view kUnwantedHeaders = "Expect:\0Accept:\0Content-Type:\0"sv;
constexpr std::size_t kUnwantedHeaderCount = 3;

constexpr std::string_view kSinkEnded = "given up by the receiver";

// No certificate that is valid today was so before, and no clock that is right tells an earlier time.
constexpr WallTime kEarliestClock = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);

struct FreeEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeMulti {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct FreeUrl {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code < 0x20 && c != '\t') || code == 0x7F;
  });
}

bool is_loopback(std::string_view host) {
  if (same_ignoring_case(host, "localhost") || host == "[::1]") return true;
  // libcurl has normalised what it took for an IPv4 address; a name may begin like one.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

long milliseconds(std::chrono::nanoseconds time) {
  return static_cast<long>(std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(time).count(), 0,
                                                    std::numeric_limits<int>::max()));
}

Failure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_OK: return Failure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return Failure::kResolve;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY: return Failure::kConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return Failure::kTls;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_SHUTDOWN_FAILED: return Failure::kReset;
    case CURLE_OPERATION_TIMEDOUT: return Failure::kTimeout;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:  // an answer of HTTP/0.9
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR: return Failure::kMalformed;  // the callbacks say which limit it was
    default: return Failure::kInternal;
  }
}

// libcurl's reason in the form of our own messages.
std::string message_of(std::string_view reason) {
  constexpr std::string_view kOpenSslPrefix = "SSL routines::";
  if (const auto at = reason.find(kOpenSslPrefix); at != std::string_view::npos) {
    return fmt::format("TLS: {}", printable(reason.substr(at + kOpenSslPrefix.size()), kMostErrorBytes));
  }
  std::string text = printable(reason, kMostErrorBytes);
  if (text.size() > 1 && lower(text[1]) == text[1]) text[0] = lower(text[0]);
  return text;
}

}  // namespace

std::string Answer::field(std::string_view name) const {
  std::string joined;
  for (std::string_view rest = header; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !same_ignoring_case(line.substr(0, colon), name)) continue;
    if (!joined.empty()) joined += ", ";
    joined += trimmed(line.substr(colon + 1));
  }
  return joined;
}

Result<void> check_url(std::string_view url, bool insecure_http) {
  if (!is_plain(url) || url.find_first_of(" \t") != std::string_view::npos) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no URL: white space or control characters", printable(url)));
  }
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  const std::string text(url);
  const auto part = [&](CURLUPart which) {
    char* value = nullptr;
    if (curl_url_get(parsed.get(), which, &value, 0) != CURLUE_OK) value = nullptr;
    const std::unique_ptr<char, FreeText> owned(value);
    return std::string(value == nullptr ? "" : value);
  };
  const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (url.find('@') < std::min(url.find_first_of("?#"), url.size()) &&
      (code != CURLUE_OK || !part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty())) {
    return fail(ErrorCode::kUsage, "a URL with a user name or password is not taken");
  }
  if (code != CURLUE_OK) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no URL: {}", printable(url), curl_url_strerror(code)));
  }
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme == "https") return {};
  if (scheme != "http") {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is neither https:// nor http://", printable(url)));
  }
  if (insecure_http || is_loopback(part(CURLUPART_HOST))) return {};
  return fail(ErrorCode::kUsage, fmt::format("'{}' would send everything in the clear", printable(url)),
              "https://, or --insecure-http");
}

Result<void> check_base_url(std::string_view url, bool insecure_http) {
  if (auto checked = check_url(url, insecure_http); !checked) return checked;
  if (url.find_first_of("?#") == std::string_view::npos) return {};
  return fail(ErrorCode::kUsage, fmt::format("'{}' has more than a path: a query or a fragment", printable(url)));
}

struct Client::State {
  // One easy handle, used for one request after the other.
  struct Slot {
    State* state = nullptr;
    std::unique_ptr<CURL, FreeEasy> easy;
    bool busy = false;
    Answer answer;
    std::size_t header_bytes = 0;
    std::size_t keep_bytes = 0;
    Sink sink;
    std::string_view broken_limit;  // why a callback ended the request
    MonotonicTime since{};
    std::string url;
    std::string header_lines;       // NUL-terminated, one behind the other
    std::vector<curl_slist> lines;  // into header_lines
    std::array<char, CURL_ERROR_SIZE> error{};
  };

  struct Socket {
    int fd;
    short events;
  };

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { abandon(); }

  Result<void> configure(ClientOptions from);
  void configure(Slot& slot);
  void open_multi();
  Result<void> set_headers(Slot& slot, const Request& request) const;
  void drive(int fd, int events);
  void abandon();
  void collect();
  void finish(Slot& slot, CURLcode code);

  static int on_socket(CURL*, curl_socket_t fd, int what, void* object, void*);
  static int on_timer(CURLM*, long timeout_ms, void* object);
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* object);
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* object);

  ClientOptions options;
  std::vector<Slot> slots;  // never resized: libcurl holds pointers. Destroyed after `multi`
  std::vector<Socket> sockets;
  std::optional<MonotonicTime> timer;
  std::unique_ptr<CURLM, FreeMulti> multi;

  int running = 0;
  std::size_t busy = 0;
  bool ended = false;  // requests have ended that are not collected
  MonotonicTime last_use{};
  bool used = false;  // since `multi` was opened
  std::uint64_t connections = 0;
  std::vector<Answer> answers;
  std::vector<std::pair<int, int>> ready;  // descriptors of one handle(), with libcurl's word for what they are
};

Result<void> Client::State::configure(ClientOptions from) {
  [[maybe_unused]] static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  options = std::move(from);
  if (auto checked = io::check_tls_files(options.tls); !checked) return checked;
  // To libcurl 0 is no limit.
  for (const auto& [option, limit] :
       {std::pair("--connect-timeout", options.connect_timeout), std::pair("--timeout", options.timeout)}) {
    if (limit.count() <= 0) return fail(ErrorCode::kUsage, fmt::format("{}: must be more than 0", option));
  }
  slots = std::vector<Slot>(options.connections);
  for (Slot& slot : slots) {
    slot.state = this;
    slot.easy.reset(curl_easy_init());
    if (!slot.easy) return fail(ErrorCode::kBug, "libcurl: no handle");
    configure(slot);
  }
  open_multi();
  return {};
}

// What is the same for all requests of a handle.
void Client::State::configure(Slot& slot) {
  CURL* easy = slot.easy.get();
  const auto or_null = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &slot);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot.error.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &slot);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &slot);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // else the end of a look-up that is too slow is waited for
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN,
                   static_cast<long>(std::chrono::ceil<std::chrono::seconds>(options.most_idle).count()));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "fieldpipe");
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  const bool system = options.tls.cafile.empty() && options.tls.capath.empty();
  curl_easy_setopt(easy, CURLOPT_CAINFO, or_null(options.tls.cafile));
  curl_easy_setopt(easy, CURLOPT_CAPATH, system ? kSystemAuthorities : or_null(options.tls.capath));
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);  // a session taken up again is not checked again
  curl_easy_setopt(easy, CURLOPT_SSLCERT, or_null(options.tls.cert));
  curl_easy_setopt(easy, CURLOPT_SSLKEY, or_null(options.tls.key));
  curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");  // else it would be asked for on the terminal
}

void Client::State::open_multi() {
  multi.reset();
  multi.reset(curl_multi_init());
  curl_multi_setopt(multi.get(), CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi.get(), CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi.get(), CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(options.connections));
  sockets.clear();
  timer.reset();
  used = false;
}

Result<void> Client::State::set_headers(Slot& slot, const Request& request) const {
  slot.header_lines = kUnwantedHeaders;
  std::size_t count = kUnwantedHeaderCount;
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name)) return fail(ErrorCode::kUsage, fmt::format("'{}' is no name of a header", printable(name)));
    if (!is_plain(value)) {
      return fail(ErrorCode::kUsage, fmt::format("header {}: its value holds a control character", printable(name)));
    }
    // A semicolon is how libcurl is told of an empty value.
    slot.header_lines.append(name).append(value.empty() ? ";" : ": ").append(value).push_back('\0');
    ++count;
  }
  slot.lines.resize(count);
  char* at = slot.header_lines.data();
  for (std::size_t i = 0; i < count; ++i) {
    slot.lines[i] = {.data = at, .next = i + 1 < count ? &slot.lines[i + 1] : nullptr};
    at += std::char_traits<char>::length(at) + 1;
  }
  return {};
}

void Client::State::drive(int fd, int events) {
  curl_multi_socket_action(multi.get(), fd, events, &running);
  ended = static_cast<std::size_t>(running) < busy;
}

void Client::State::abandon() {
  for (Slot& slot : slots) {
    if (!std::exchange(slot.busy, false)) continue;
    curl_multi_remove_handle(multi.get(), slot.easy.get());
    slot.sink = nullptr;
  }
  busy = 0;
  ended = false;
  last_use = monotonic_now();
}

void Client::State::collect() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Slot* slot = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
    curl_multi_remove_handle(multi.get(), slot->easy.get());
    finish(*slot, code);
  }
  ended = false;
}

void Client::State::finish(Slot& slot, CURLcode code) {
  CURL* easy = slot.easy.get();
  Answer& answer = slot.answer;
  long number = 0;
  if (curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &number) == CURLE_OK)
    connections += static_cast<std::uint64_t>(number);
  answer.sent = curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &number) == CURLE_OK && number > 0;
  if (!answer.complete_header && curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &number) == CURLE_OK)
    answer.status = static_cast<int>(number);
  answer.failure = failure_of(code);
  std::string_view reason = slot.error[0] != 0 ? slot.error.data() : curl_easy_strerror(code);
  if (!slot.broken_limit.empty()) reason = slot.broken_limit;
  if (slot.broken_limit == kSinkEnded) answer.failure = Failure::kSink;
  // A proxy that does not connect us: its credentials are a matter of their own, like a 407 of a plain proxy.
  if (!answer.complete_header && curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &number) == CURLE_OK &&
      number >= 300) {
    answer.failure = Failure::kConnect;
    if (number == kProxyAuthenticationRequired) {
      answer.status = static_cast<int>(number);
      answer.complete_header = true;
    }
  }
  if (answer.failure == Failure::kNone && !answer.complete_header) {
    answer.failure = Failure::kReset;
    reason = "closed before the end of the header";
  }
  if (answer.failure != Failure::kNone) {
    answer.error = message_of(reason);
    if (answer.failure == Failure::kTls && wall_now() < kEarliestClock) {
      answer.error += "; the clock of this machine is wrong, it is before 2026";
    }
  }
  answer.elapsed = monotonic_now() - slot.since;
  answers.push_back(std::move(answer));
  slot.sink = nullptr;
  slot.busy = false;
  --busy;
  last_use = monotonic_now();
}

int Client::State::on_socket(CURL*, curl_socket_t fd, int what, void* object, void*) {
  State& state = *static_cast<State*>(object);
  const auto found =
      std::find_if(state.sockets.begin(), state.sockets.end(), [fd](const Socket& s) { return s.fd == fd; });
  if (what == CURL_POLL_REMOVE) {
    if (found != state.sockets.end()) {
      *found = state.sockets.back();
      state.sockets.pop_back();
    }
    return 0;
  }
  const auto events =
      static_cast<short>(((what & CURL_POLL_IN) != 0 ? POLLIN : 0) | ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0));
  if (found != state.sockets.end()) {
    found->events = events;
  } else {
    state.sockets.push_back({fd, events});
  }
  return 0;
}

int Client::State::on_timer(CURLM*, long timeout_ms, void* object) {
  State& state = *static_cast<State*>(object);
  if (timeout_ms < 0) {
    state.timer.reset();
  } else {
    state.timer = monotonic_now() + std::chrono::milliseconds(timeout_ms);
  }
  return 0;
}

std::size_t Client::State::on_header(char* data, std::size_t, std::size_t size, void* object) {
  Slot& slot = *static_cast<Slot*>(object);
  Answer& answer = slot.answer;
  const std::string_view line(data, size);
  slot.header_bytes += size;
  if (slot.header_bytes > kMostHeaderBytes) {
    slot.broken_limit = "a header of more than 64KiB";
    return 0;
  }
  if (answer.complete_header) return size;  // a trailer
  if (line.starts_with("HTTP/")) {
    answer.header.clear();
    return size;
  }
  if (!trimmed(line).empty()) {
    answer.header.append(line);
    return size;
  }
  long status = 0;
  curl_easy_getinfo(slot.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  answer.complete_header = status >= 200;
  return size;
}

std::size_t Client::State::on_body(char* data, std::size_t, std::size_t size, void* object) {
  Slot& slot = *static_cast<Slot*>(object);
  Answer& answer = slot.answer;
  answer.body_bytes += size;
  if (slot.sink && (answer.status == 200 || answer.status == 206)) {
    if (slot.sink(answer, as_bytes({data, size}))) return size;
    slot.broken_limit = kSinkEnded;
    return 0;
  }
  answer.body.append(data, std::min(size, slot.keep_bytes - answer.body.size()));
  if (answer.body_bytes <= std::max(slot.keep_bytes, kMostBodyBytes)) return size;
  slot.broken_limit = "a body of more than 1MiB";
  return 0;
}

Result<Client> Client::create(ClientOptions options) {
  auto state = std::make_unique<State>();
  if (auto configured = state->configure(std::move(options)); !configured) return fail(std::move(configured));
  return Client(std::move(state));
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Client::~Client() = default;

void Client::watch(io::Loop& loop) const {
  for (const auto& [fd, events] : state_->sockets) loop.watch(fd, events);
}

MonotonicTime Client::deadline() const {
  if (state_->ended) return MonotonicTime{};
  if (state_->timer) return *state_->timer;
  if (state_->busy == 0 && state_->used) return state_->last_use + state_->options.most_idle;
  return MonotonicTime::max();
}

void Client::handle(const io::Loop& loop) {
  State& state = *state_;
  // The sockets change while libcurl works on them.
  state.ready.clear();
  for (const auto& [fd, events] : state.sockets) {
    const int what = ((events & POLLIN) != 0 && loop.ready(fd, POLLIN) ? CURL_CSELECT_IN : 0) |
                     ((events & POLLOUT) != 0 && loop.ready(fd, POLLOUT) ? CURL_CSELECT_OUT : 0);
    if (what != 0) state.ready.push_back({fd, what});
  }
  for (const auto& [fd, what] : state.ready) state.drive(fd, what);
  if (state.timer && monotonic_now() >= *state.timer) {
    state.timer.reset();
    state.drive(CURL_SOCKET_TIMEOUT, 0);
  }
  if (state.ended) state.collect();
  if (state.busy == 0 && state.used && monotonic_now() >= state.last_use + state.options.most_idle) state.open_multi();
}

std::size_t Client::free_slots() const { return state_->slots.size() - state_->busy; }

Result<std::size_t> Client::start(const Request& request) {
  State& state = *state_;
  const auto free = std::find_if(state.slots.begin(), state.slots.end(), [](const auto& slot) { return !slot.busy; });
  if (free == state.slots.end()) return fail(ErrorCode::kBug, "no free connection");
  State::Slot& slot = *free;
  if (auto checked = check_url(request.url, state.options.insecure_http); !checked) return fail(std::move(checked));
  if (auto set = state.set_headers(slot, request); !set) return fail(std::move(set));

  CURL* easy = slot.easy.get();
  slot.url.assign(request.url);
  slot.answer = Answer{};
  slot.answer.slot = static_cast<std::size_t>(free - state.slots.begin());
  slot.header_bytes = 0;
  slot.keep_bytes = request.keep_bytes;
  slot.sink = request.sink;
  slot.broken_limit = {};
  slot.error[0] = 0;
  slot.since = monotonic_now();
  if (curl_easy_setopt(easy, CURLOPT_URL, slot.url.c_str()) != CURLE_OK) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no URL", printable(slot.url)));
  }
  const bool plain = lower(slot.url[4]) != 's';
  curl_easy_setopt(easy, CURLOPT_PROXY, plain ? "" : nullptr);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, slot.lines.data());
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(request.timeout.value_or(state.options.timeout)));
  if (request.method == Method::kPost) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    // Without data libcurl would ask a callback for it.
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                     request.body.empty() ? "" : reinterpret_cast<const char*>(request.body.data()));
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  }
  if (const CURLMcode code = curl_multi_add_handle(state.multi.get(), easy); code != CURLM_OK) {
    return fail(ErrorCode::kBug, fmt::format("libcurl: {}", curl_multi_strerror(code)));
  }
  slot.busy = true;
  ++state.busy;
  state.used = true;
  state.timer.reset();
  state.drive(CURL_SOCKET_TIMEOUT, 0);
  return slot.answer.slot;
}

void Client::abandon() { state_->abandon(); }
std::vector<Answer>& Client::answers() { return state_->answers; }
std::uint64_t Client::connections() const { return state_->connections; }

}  // namespace fieldpipe::http
