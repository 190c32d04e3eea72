// SPDX-License-Identifier: MIT
#include "smp_device/server.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/bytes.h"

namespace fieldpipe::smp_device {
namespace {

constexpr std::string_view kBootText =
    "*** Booting MCUboot v2.2.0 ***\r\n"
    "*** Booting Zephyr OS build v4.4.0 ***\r\n";

void keep_earliest(std::optional<MonotonicTime>& earliest, std::optional<MonotonicTime> time) {
  if (time) earliest = earliest ? std::min(*earliest, *time) : *time;
}

}  // namespace

Server::Server(Profile profile, const ServerSettings& settings, std::unique_ptr<Link> link, io::Output& out,
               cli::Report& report)
    : boot_time_(profile.boot_time),
      // Each buffer is for requests and answers alike, and one is needed for the answer.
      places_(std::max<std::size_t>(profile.buffers, 2) - 1),
      settings_(settings),
      link_(std::move(link)),
      out_(out),
      report_(report),
      device_(std::move(profile), monotonic_now()),
      requests_(settings.faults, 0, link_->is_checked()),
      answers_(settings.faults, 1, false) {}

Result<void> Server::run(io::Loop& loop) {
  while (!loop.stop_signal()) {
    const MonotonicTime now = monotonic_now();
    if (auto followed = follow_device(now); !followed) return followed;
    if (auto taken = take_requests(now); !taken) return taken;
    send_answers(now);
    if (!out_.buffer().empty()) {
      if (auto flushed = out_.flush(loop); !flushed) return flushed;
    }
    link_->watch(loop);
    // Who reads the first line may close the pipe; who reads a trace may not.
    if (settings_.traces) loop.watch(out_.descriptor(), 0);
    if (auto waited = loop.wait(deadline()); !waited) return waited;
    if (settings_.traces && loop.ready(out_.descriptor(), 0)) return fail(ErrorCode::kReaderGone, "stdout");
  }
  return {};
}

Result<void> Server::follow_device(MonotonicTime now) {
  device_.advance(now);
  if (device_.starts() != starts_) {
    starts_ = device_.starts();
    report_.say("the device restarts");
    requests_.clear();
    answers_.clear();
    waiting_.clear();
    if (settings_.reenumerates) cut(now + boot_time_);
  }
  if (cut_until_ && now >= *cut_until_) {
    cut_until_.reset();
    if (auto plugged = link_->plug(); !plugged) return plugged;
  }
  if (device_.runs() && !std::exchange(was_running_, device_.runs())) link_->print(kBootText);
  was_running_ = device_.runs();
  return {};
}

Result<void> Server::take_requests(MonotonicTime now) {
  std::vector<Parcel> parcels;
  if (auto received = link_->receive(now, parcels); !received) return received;
  if (!cut_until_) {
    for (Parcel& parcel : parcels) requests_.put(std::move(parcel), now, {});
  }
  parcels.clear();
  requests_.take(now, parcels);
  for (Parcel& parcel : parcels) serve(std::move(parcel), now);
  return {};
}

void Server::serve(Parcel request, MonotonicTime now) {
  while (!waiting_.empty() && waiting_.front() <= now) waiting_.pop_front();
  if (cut_until_ || !device_.runs() || waiting_.size() >= places_) return;
  if (request.bytes.size() > link_->packet_limit(device_.buffer_bytes())) return;
  trace("request", request.bytes);
  ++count_;
  if (settings_.restart_after == count_) return device_.restart(now);
  if (settings_.cut_after == count_) {
    report_.say("the link is cut");
    return cut(now + boot_time_);
  }
  std::vector<std::string> answers;
  device_.receive(as_bytes(request.bytes), now, answers);
  for (std::string& answer : answers) {
    trace("answer", answer);
    link_->frame(answer);
    answers_.put({std::move(answer), request.peer}, now, settings_.faults.delay);
  }
  if (settings_.faults.delay.count() > 0) waiting_.push_back(now + settings_.faults.delay);
}

void Server::send_answers(MonotonicTime now) {
  std::vector<Parcel> parcels;
  answers_.take(now, parcels);
  for (const Parcel& parcel : parcels) link_->send(parcel);
}

void Server::cut(MonotonicTime until) {
  requests_.clear();
  answers_.clear();
  waiting_.clear();
  link_->pull();
  cut_until_ = until;
}

void Server::trace(std::string_view direction, std::string_view packet) {
  if (!settings_.traces) return;
  fmt::format_to(std::back_inserter(out_.buffer()), R"({{"{}":")", direction);
  append_hex(out_.buffer(), as_bytes(packet));
  out_.buffer() += "\"}\n";
}

std::optional<MonotonicTime> Server::deadline() const {
  std::optional<MonotonicTime> earliest = device_.deadline();
  keep_earliest(earliest, link_->deadline());
  keep_earliest(earliest, requests_.deadline());
  keep_earliest(earliest, answers_.deadline());
  keep_earliest(earliest, cut_until_);
  return earliest;
}

}  // namespace fieldpipe::smp_device
