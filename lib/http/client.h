// SPDX-License-Identifier: MIT
// HTTP requests over a pool of kept connections, driven from io::Loop. The only class that knows libcurl.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/tls_files.h"

namespace fieldpipe::http {

// What all requests of a Client have in common.
struct ClientOptions {
  io::TlsFiles tls;
  bool insecure_http = false;  // http:// also to hosts that are not this machine
  std::size_t connections = 8;
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);  // name look-up, TCP and TLS together
  std::chrono::nanoseconds timeout = std::chrono::seconds(60);          // a whole request
  // Fewer than 100 bytes a second in both directions together for so long end a request. Whole seconds; 0: no such
  // rule.
  std::chrono::seconds stall_timeout{30};
  std::chrono::nanoseconds most_idle = std::chrono::minutes(5);  // a connection nobody used for so long is closed
};

// Why there is no whole answer.
enum class Failure : std::uint8_t {
  kNone,
  kResolve,  // no address for the host or the proxy
  kConnect,  // nobody there, or a proxy that does not connect
  kTls,      // no TLS connection, or not with the host we want; nothing of the request was sent
  kReset,    // the connection ended before the answer did, or in the middle of its body it was no longer clear where it
             // ends
  kTimeout,  // one of the three time limits
  kMalformed,  // what came is not HTTP, or beyond the limits below
  kSink,       // the request's sink did not want more
  kInternal,   // out of memory, or a fault of ours
};

// The end of a request.
struct Answer {
  std::size_t slot = 0;          // what start() gave
  int status = 0;                // 0: no status line came; otherwise 200 to 999 if `complete_header`
  bool complete_header = false;  // the header block of the final status came to its end: the answer counts, even when
                                 // `failure` says that its body was cut
  std::string header;            // that block: lines with CRLF, without the status line
  std::string body;              // its first bytes, at most Request::keep_bytes
  std::uint64_t body_bytes = 0;  // how long it was as far as it came
  Failure failure = Failure::kNone;
  bool sent = false;  // something of the request left this machine, so it may have been processed
  std::string error;  // for people, printable, without any header of ours; empty where `failure` is kNone
  std::chrono::nanoseconds elapsed{};

  // Values of the named field of `header`, without white space around them, joined by ", " where there are several
  // (RFC 9110 section 5.3); empty when there is none. Case does not matter.
  [[nodiscard]] std::string field(std::string_view name) const;
};

// A field of a request. Views, used by start() only.
struct Header {
  std::string_view name;
  std::string_view value;
};

enum class Method : std::uint8_t { kGet, kPost };

// Takes the body of an answer as it comes; `so_far` has its status and header. False ends the request with kSink.
// Must not call the Client.
using Sink = std::function<bool(const Answer& so_far, Bytes data)>;

// A request to be started.
struct Request {
  Method method = Method::kPost;
  std::string_view url;                                  // copied
  std::span<const Header> headers = {};                  // copied; besides Host, Content-Length and User-Agent
  Bytes body = {};                                       // of a POST; not copied: must last until the answer has come
  std::size_t keep_bytes = 1024;                         // of the answer's body, for Answer::body
  Sink sink = {};                                        // takes the bodies of 200 and 206, which then are not kept
  std::optional<std::chrono::nanoseconds> timeout = {};  // instead of ClientOptions::timeout
};

// Whether requests to `url` are allowed: https, or http to this machine (localhost, 127.0.0.0/8, ::1) or with
// `insecure_http`; no user name or password in it; no white space or control characters. Fails with kUsage; the message
// repeats no password.
Result<void> check_url(std::string_view url, bool insecure_http = false);

// The same for the front part of URLs: a path that is put behind it must become part of the path, so a query or a
// fragment is refused, too.
Result<void> check_base_url(std::string_view url, bool insecure_http = false);

// A turn of the owner's loop is
//
//   client.watch(loop);  loop.wait(client.deadline());
//   client.handle(loop);
//   use and clear answers();  start() while free_slots() > 0
//
// HTTP/1.1 with kept connections, one request at a time on each. Redirects are never followed: a header of ours, such
// as a project key, would go along. TLS 1.2 at least, and certificates are always checked. Proxies come from the
// environment (https_proxy, all_proxy, no_proxy), but not for http://, which they could read. Names are looked up for
// each connection, in a helper thread that waiting never has to wait for; files of authorities are read for each too.
//
// A request is sent again only when a kept connection turns out to be closed and nothing of an answer has come: what
// was sent may have been processed.
class Client {
 public:
  static constexpr std::size_t kMostHeaderBytes = 64 * 1024;  // of an answer, with interim ones and trailers
  static constexpr std::size_t kMostBodyBytes = 1024 * 1024;  // of one without a sink; or keep_bytes, if that is more

  // Checks what can be checked without a network (kUsage, kNoInput). Create io::Loop first: the helper threads must not
  // take its signals.
  static Result<Client> create(ClientOptions options);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // abandons what is under way

  // Registers what this waits for.
  void watch(io::Loop& loop) const;

  // When handle() wants to be called although nothing is ready.
  [[nodiscard]] MonotonicTime deadline() const;

  // Sends and receives what it can.
  void handle(const io::Loop& loop);

  // How many requests may be started now.
  [[nodiscard]] std::size_t free_slots() const;

  // Begins a request and gives its slot, a number below ClientOptions::connections that no other request has until its
  // answer is in answers(). Fails with kUsage for a URL or header that is none.
  Result<std::size_t> start(const Request& request);

  // Ends all requests that are under way, without answers for them; what was sent of them may have been processed.
  void abandon();

  // Requests that have ended. The owner clears it.
  std::vector<Answer>& answers();

  // Connections made so far.
  [[nodiscard]] std::uint64_t connections() const;

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace fieldpipe::http
