// SPDX-License-Identifier: MIT
#include "smp_session/session.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::smp_session {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Between two attempts to open a port that is not there yet.
constexpr milliseconds kOpenPause{100};

// For the answer of a device that may be starting.
constexpr milliseconds kProbeTimeout{500};

// More does not pay (Nordic's default is 3).
constexpr std::size_t kMaxWindow = 8;

}  // namespace

Session::Session(Target target, SessionSettings settings, io::Loop& loop)
    : target_(std::move(target)),
      settings_(std::move(settings)),
      loop_(loop),
      sequence_(static_cast<std::uint8_t>(std::random_device{}())) {}

Outcome<void> Session::open() {
  if (settings_.wait) return await_device(*settings_.wait);
  auto transport = open_transport(target_, settings_.transport, loop_);
  if (!transport) return pass(std::move(transport));
  transport_ = *std::move(transport);
  return {};
}

void Session::close() {
  transport_.reset();
  abandon();
  packets_.clear();
  asked_parameters_ = false;
  parameters_.reset();
}

Outcome<void> Session::await_device(nanoseconds timeout) {
  const MonotonicTime end = monotonic_now() + timeout;
  for (;;) {
    const MonotonicTime attempt = monotonic_now();
    Outcome<void> failed;
    if (transport_ == nullptr) {
      auto transport = open_transport(target_, settings_.transport, loop_);
      if (transport) {
        transport_ = *std::move(transport);
      } else if (transport.error().code == ErrorCode::kUsage) {
        return pass(std::move(transport));
      } else {
        failed = pass(std::move(transport));
      }
    }
    if (transport_ != nullptr) {
      // Recovery has no echo, but knows this; any answer will do.
      Request probe = make_request<smp::os::Parameters>();
      probe.timeout = std::min<nanoseconds>(kProbeTimeout, settings_.timeout.value_or(kTimeout));
      probe.retries = 0;
      auto ticket = submit(std::move(probe));
      auto reply = ticket ? next() : Result<std::optional<Reply>>(fail(std::move(ticket)));
      if (reply && (*reply)->payload) return {};
      if (reply && (*reply)->payload.error().device) return {};
      failed = reply ? Outcome<void>(pass(std::move((*reply)->payload))) : Outcome<void>(pass(std::move(reply)));
      // A line that has gone is opened anew; one that is silent stays open.
      if (!reply) close();
    }
    if (loop_.stop_signal()) return failed;
    if (monotonic_now() >= end) return pass(std::move(failed));
    const MonotonicTime wake = std::min(end, attempt + kOpenPause);
    while (monotonic_now() < wake && !loop_.stop_signal()) {
      if (auto waited = loop_.wait(wake); !waited) return pass(std::move(waited));
    }
  }
}

Result<std::uint64_t> Session::submit(Request request) {
  if (transport_ == nullptr) return fail(ErrorCode::kBug, "a request without a connection");
  if (request.payload.size() > smp::kMaxPayloadBytes) {
    return fail(ErrorCode::kUsage,
                fmt::format("a request of {} bytes, a packet holds {}", request.payload.size(), smp::kMaxPayloadBytes));
  }
  Exchange exchange{
      .ticket = tickets_++, .request = std::move(request), .header = {}, .deadline = {}, .attempts_left = 0};
  const smp::Command& command = exchange.request.command;
  if (command.op == smp::Op::kRead || exchange.request.repeatable) {
    exchange.attempts_left = exchange.request.retries.value_or(settings_.retries);
  }
  const auto in_use = [&](std::uint8_t sequence) {
    return std::any_of(exchanges_.begin(), exchanges_.end(),
                       [&](const Exchange& other) { return other.header.sequence == sequence; });
  };
  while (in_use(sequence_)) ++sequence_;
  exchange.header = {.op = command.op,
                     .version = settings_.version,
                     .group = command.group,
                     .sequence = sequence_++,
                     .command = command.id};
  if (auto sent = send(exchange, false); !sent) return fail(std::move(sent));
  exchanges_.push_back(std::move(exchange));
  return exchanges_.back().ticket;
}

Result<void> Session::send(Exchange& exchange, bool again) {
  exchange.deadline = monotonic_now() + timeout_of(exchange.request);
  std::string packet;
  smp::append_packet(packet, exchange.header, as_bytes(exchange.request.payload));
  return transport_->send(as_bytes(packet), again);
}

void Session::watch() const {
  if (transport_ != nullptr) transport_->watch(loop_);
}

std::optional<MonotonicTime> Session::deadline() const {
  if (transport_ == nullptr) return std::nullopt;
  auto earliest = transport_->deadline();
  for (const Exchange& exchange : exchanges_) {
    earliest = earliest ? std::min(*earliest, exchange.deadline) : exchange.deadline;
  }
  return earliest;
}

Result<void> Session::advance() {
  if (transport_ == nullptr) return {};
  auto advanced = transport_->advance(packets_);
  for (const std::string& packet : packets_) receive(as_bytes(packet));
  packets_.clear();
  if (!advanced) {
    std::erase_if(exchanges_, [this](const Exchange& exchange) {
      if (exchange.request.may_go) replies_.push_back({exchange.ticket, cbor::Value::Map{}});
      return exchange.request.may_go;
    });
    return advanced;
  }
  return check_time();
}

void Session::receive(Bytes packet) {
  const auto header = smp::decode_header(packet);
  if (!header) return;
  const auto found = std::find_if(exchanges_.begin(), exchanges_.end(),
                                  [&](const Exchange& exchange) { return smp::answers(*header, exchange.header); });
  if (found == exchanges_.end()) return;
  const auto outcome = [&]() -> Outcome<cbor::Value> {
    const auto decoded = smp::decode_packet(packet);
    auto payload =
        decoded ? smp::decode_payload(decoded->payload) : Result<cbor::Value>(tl::make_unexpected(decoded.error()));
    auto error = payload ? smp::find_error(*payload, header->group)
                         : Result<std::optional<smp::DeviceError>>(tl::make_unexpected(payload.error()));
    if (!error) return tl::make_unexpected(Failure(std::move(error).error().in("malformed answer")));
    if (*error) {
      Failure failure(**std::move(error));
      failure.payload = *std::move(payload);
      return tl::make_unexpected(std::move(failure));
    }
    return *std::move(payload);
  };
  replies_.push_back({found->ticket, outcome()});
  exchanges_.erase(found);
}

Result<void> Session::check_time() {
  const MonotonicTime now = monotonic_now();
  for (std::size_t i = 0; i < exchanges_.size();) {
    Exchange& exchange = exchanges_[i];
    if (now < exchange.deadline) {
      ++i;
    } else if (exchange.attempts_left > 0) {
      --exchange.attempts_left;
      if (auto sent = send(exchange, true); !sent) return sent;
      ++i;
    } else {
      Error error{ErrorCode::kUnavailable,
                  fmt::format("no answer within {}", print_duration(timeout_of(exchange.request))),
                  transport_->silence_hint(), std::nullopt};
      replies_.push_back({exchange.ticket, tl::make_unexpected(Failure(std::move(error)))});
      exchanges_.erase(exchanges_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return {};
}

std::optional<Reply> Session::take() {
  if (replies_.empty()) return std::nullopt;
  Reply reply = std::move(replies_.front());
  replies_.pop_front();
  return reply;
}

Result<std::optional<Reply>> Session::next(std::optional<MonotonicTime> until) {
  for (;;) {
    if (auto reply = take()) return reply;
    if (until && monotonic_now() >= *until) return std::optional<Reply>();
    if (loop_.stop_signal()) return fail(ErrorCode::kUnavailable, "stopped");
    if (settings_.before_wait) {
      if (auto flushed = settings_.before_wait(); !flushed) return fail(std::move(flushed));
    }
    watch();
    auto wake = deadline();
    if (until) wake = wake ? std::min(*wake, *until) : *until;
    if (auto waited = loop_.wait(wake); !waited) return fail(std::move(waited));
    if (auto advanced = advance(); !advanced && replies_.empty()) return fail(std::move(advanced));
  }
}

void Session::abandon() {
  exchanges_.clear();
  replies_.clear();
}

Outcome<cbor::Value> Session::ask(Request request) {
  auto ticket = submit(std::move(request));
  if (!ticket) return pass(std::move(ticket));
  auto reply = next();
  if (!reply) return pass(std::move(reply));
  return std::move((*reply)->payload);
}

Outcome<std::optional<smp::os::Parameters::Response>> Session::parameters() {
  if (!asked_parameters_) {
    auto answer = ask<smp::os::Parameters>();
    if (answer) {
      parameters_ = *answer;
    } else if (!answer.error().device && answer.error().error.code != ErrorCode::kBadData) {
      return pass(std::move(answer));
    }
    asked_parameters_ = true;
  }
  return parameters_;
}

Outcome<std::size_t> Session::window() {
  if (settings_.window) return *settings_.window;
  auto known = parameters();
  if (!known) return pass(std::move(known));
  if (!*known || (*known)->buffers < 2) return std::size_t{1};
  return std::min<std::size_t>((*known)->buffers - 1, kMaxWindow);
}

Outcome<std::size_t> Session::payload_limit() {
  auto known = parameters();
  if (!known) return pass(std::move(known));
  std::optional<std::size_t> buffer;
  if (*known) buffer = (*known)->buffer_bytes;
  const std::size_t packet = std::min(transport_->packet_limit(buffer), smp::kMaxPacketBytes);
  return packet > smp::kHeaderBytes ? packet - smp::kHeaderBytes : 0;
}

}  // namespace fieldpipe::smp_session
