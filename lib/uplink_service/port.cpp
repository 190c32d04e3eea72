// SPDX-License-Identifier: MIT
#include "uplink_service/port.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace fieldpipe::uplink_service {

Result<Port> Port::open(const uplink::App& app, const std::vector<std::string>& bind) {
  std::vector<io::Endpoint> endpoints;
  if (!app.unix_path.empty()) endpoints.push_back({{}, 0, app.unix_path});
  if (app.port != 0 && bind.empty()) endpoints.push_back({{}, app.port, {}});
  if (app.port != 0) {
    for (const std::string& address : bind) endpoints.push_back({address, app.port, {}});
  }
  Port port(app.name);
  for (const io::Endpoint& endpoint : endpoints) {
    auto listener = io::Listener::create(endpoint);
    if (!listener) return tl::make_unexpected(std::move(listener).error().in(fmt::format("tcpapps.{}", app.name)));
    port.listeners_.push_back(*std::move(listener));
  }
  return port;
}

std::string Port::endpoints() const {
  std::string text;
  for (const io::Listener& listener : listeners_) {
    if (!text.empty()) text += ", ";
    text += io::print_endpoint(listener.endpoint());
  }
  return text;
}

void Port::watch(io::Loop& loop, bool reading) const {
  // One client at a time is on its way out; the next one waits in the system's queue.
  if (!leaving_) {
    for (const io::Listener& listener : listeners_) listener.watch(loop);
  }
  for (const auto* connection : {&leaving_, &present_}) {
    if (!*connection) continue;
    // The lines of the present client come behind those of the one before.
    const bool read = reading && (*connection)->wants_more() && (connection == &leaving_ || !leaving_);
    const bool send = (*connection)->wants_to_send();
    if (read || send) {
      loop.watch((*connection)->descriptor(), static_cast<short>((read ? POLLIN : 0) | (send ? POLLOUT : 0)));
    }
  }
}

std::optional<MonotonicTime> Port::deadline() const {
  std::optional<MonotonicTime> first;
  if (leaving_) first = leaving_->deadline();
  for (const io::Listener& listener : listeners_) {
    if (listener.deadline() && (!first || *listener.deadline() < *first)) first = listener.deadline();
  }
  return first;
}

Result<void> Port::handle(const io::Loop& loop, bool reading) {
  Result<void> result;
  for (io::Listener& listener : listeners_) {
    if (leaving_) break;
    auto accepted = listener.accept();
    if (!accepted) result = fail(std::move(accepted));
    if (!accepted || !*accepted) continue;
    ++clients_;
    if (present_) {
      ++replaced_;
      present_->leave(monotonic_now());
      leaving_ = std::exchange(present_, std::nullopt);
    }
    present_.emplace(*std::move(accepted));
  }
  for (auto* connection : {&leaving_, &present_}) {
    if (!*connection) continue;
    const int fd = (*connection)->descriptor();
    if ((*connection)->wants_to_send() && loop.ready(fd, POLLOUT)) (*connection)->flush();
    // A client that has to go may have nothing to say any more.
    const bool read = connection == &leaving_ || (!leaving_ && loop.ready(fd, POLLIN));
    if (reading && read) (*connection)->read(monotonic_now());
  }
  return result;
}

std::array<Connection*, 2> Port::connections() {
  return {leaving_ ? &*leaving_ : nullptr, present_ ? &*present_ : nullptr};
}

Connection* Port::client() { return present_ && !present_->ended() ? &*present_ : nullptr; }

std::size_t Port::clear() {
  std::size_t cut_short = 0;
  for (auto* connection : {&leaving_, &present_}) {
    if (!*connection || !(*connection)->finished()) continue;
    cut_short += (*connection)->cut_short() ? 1 : 0;
    connection->reset();
  }
  return cut_short;
}

}  // namespace fieldpipe::uplink_service
