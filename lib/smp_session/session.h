// SPDX-License-Identifier: MIT
// A conversation with a device: requests go out, each gets its answer, a failure or the end of its time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cbor/value.h"
#include "core/clock.h"
#include "io/loop.h"
#include "smp/message.h"
#include "smp/os.h"
#include "smp_session/failure.h"
#include "smp_session/target.h"
#include "smp_session/transport.h"

namespace fieldpipe::smp_session {

struct SessionSettings {
  smp::Version version = smp::Version::k2;
  std::optional<std::chrono::nanoseconds> timeout;  // for an answer, of each attempt; nothing: as each request needs
  unsigned retries = 2;                             // of what may be repeated
  std::optional<std::size_t> window;                // requests under way; nothing: as the device has buffers
  std::optional<std::chrono::nanoseconds> wait;     // for port and device to appear
  std::function<Result<void>()> before_wait;        // flushes what a console printed; may be empty
  TransportSettings transport;
};

// The time limit for an answer where nobody has set one.
inline constexpr std::chrono::seconds kTimeout{5};

// What a device that erases flash may take (intercreate/smpclient and NordicSemiconductor/Android-nRF-Connect-Device-
// Manager agree).
inline constexpr std::chrono::seconds kSlowTimeout{40};

// A request to be sent.
struct Request {
  smp::Command command;
  std::string payload;                              // CBOR
  std::optional<std::chrono::nanoseconds> timeout;  // whatever the session has
  bool slow = false;                                // may take kSlowTimeout, where the session has no limit
  bool may_go = false;      // a device that does it may be gone, and its link, before its answer is out: no failure
  bool repeatable = false;  // a write that does the same when it comes twice; reads may always be repeated
  std::optional<unsigned> retries;  // where it is not what the session has
};

// The request of a command of lib/smp, with its CBOR.
template <typename C>
Request make_request(const typename C::Request& message = {}) {
  Request request{.command = C::kCommand, .payload = {}, .timeout = std::nullopt, .retries = std::nullopt};
  smp::encode(request.payload, message);
  return request;
}

// What became of the request with this ticket.
struct Reply {
  std::uint64_t ticket;
  Outcome<cbor::Value> payload;
};

// Requests have sequence numbers from a random start on, so that a late answer to an earlier run is not taken for one
// of ours. An answer belongs to a request by sequence, group, command and op; all other packets are dropped: late ones,
// our own as an echoing line sends them back, noise. A repeat is the same packet, so that a slow answer to the attempt
// before counts. The time of an attempt ends when it ends, whatever trickles in.
class Session {
 public:
  Session(Target target, SessionSettings settings, io::Loop& loop);

  // Opens the way, and with settings.wait tries until the device answers. close() and open() again after a reboot.
  Outcome<void> open();
  void close();
  [[nodiscard]] bool is_open() const { return transport_ != nullptr; }

  // Tries to open the way, and asks until something answers, for `timeout`.
  Outcome<void> await_device(std::chrono::nanoseconds timeout);

  // Sends a request; its Reply comes by take() under the ticket. At most kMaxUnderWay may be under way.
  static constexpr std::size_t kMaxUnderWay = 200;
  Result<std::uint64_t> submit(Request request);

  // For a loop of the caller: what to wait for, until when at most, and what to do then.
  void watch() const;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;
  Result<void> advance();

  // A request that has its answer or has failed.
  std::optional<Reply> take();
  [[nodiscard]] std::size_t under_way() const { return exchanges_.size(); }

  // Waits for the next Reply, or until `until`. Fails where the link has gone or a signal asks to stop.
  Result<std::optional<Reply>> next(std::optional<MonotonicTime> until = std::nullopt);

  // Gives up all that is under way: answers to it are late ones.
  void abandon();

  // One request and its answer. Nothing else may be under way.
  Outcome<cbor::Value> ask(Request request);
  template <typename C>
  Outcome<typename C::Response> ask(const typename C::Request& message = {}) {
    return decoded<C>(ask(make_request<C>(message)));
  }
  template <typename C>
  static Outcome<typename C::Response> decoded(Outcome<cbor::Value> payload) {
    if (!payload) return pass(std::move(payload));
    auto response = smp::decode<typename C::Response>(*payload);
    if (!response) return tl::make_unexpected(Failure(std::move(response).error().in("malformed answer")));
    return *std::move(response);
  }

  // What the device says about its buffers, asked once; nothing where it does not say.
  Outcome<std::optional<smp::os::Parameters::Response>> parameters();

  // Requests that may be under way: every buffer serves requests and answers alike, so one must stay free.
  Outcome<std::size_t> window();

  // The largest packet to send, and the payload that goes into it.
  Outcome<std::size_t> payload_limit();

  [[nodiscard]] const SessionSettings& settings() const { return settings_; }
  [[nodiscard]] const Target& target() const { return target_; }
  [[nodiscard]] io::Loop& loop() const { return loop_; }

 private:
  struct Exchange {
    std::uint64_t ticket;
    Request request;
    smp::Header header;
    MonotonicTime deadline;
    unsigned attempts_left;
  };

  Result<void> send(Exchange& exchange, bool again);
  void receive(Bytes packet);
  Result<void> check_time();
  [[nodiscard]] std::chrono::nanoseconds timeout_of(const Request& request) const {
    return request.timeout.value_or(settings_.timeout.value_or(request.slow ? kSlowTimeout : kTimeout));
  }

  Target target_;
  SessionSettings settings_;
  io::Loop& loop_;
  std::unique_ptr<Transport> transport_;
  std::uint8_t sequence_;
  std::uint64_t tickets_ = 0;
  std::vector<Exchange> exchanges_;
  std::deque<Reply> replies_;
  std::vector<std::string> packets_;
  bool asked_parameters_ = false;
  std::optional<smp::os::Parameters::Response> parameters_;
};

}  // namespace fieldpipe::smp_session
