// SPDX-License-Identifier: MIT
// The port of one application: one client at a time, and a new one ends the one before
// (bytebeamio/uplink uplink/src/collector/tcpjson.rs).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/socket.h"
#include "uplink/configuration.h"
#include "uplink_service/connection.h"

namespace fieldpipe::uplink_service {

class Port {
 public:
  // Listens where `app` and `bind` say. Fails as io::Listener::create.
  static Result<Port> open(const uplink::App& app, const std::vector<std::string>& bind);

  [[nodiscard]] const std::string& name() const { return name_; }

  // Where it listens, for people.
  [[nodiscard]] std::string endpoints() const;

  // `reading`: whether lines can be taken now.
  void watch(io::Loop& loop, bool reading) const;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // Takes a new client, if there is one and the one before the last is done with, and reads what has come. Fails when
  // no connection can be taken for a while.
  Result<void> handle(const io::Loop& loop, bool reading);

  // The clients in the order in which their lines count: one that has to go, and the present one.
  [[nodiscard]] std::array<Connection*, 2> connections();

  // The present client, if it can be given actions.
  [[nodiscard]] Connection* client();

  // Lets go of clients that are through. Returns how many of them left a line without its end.
  std::size_t clear();

  // No new clients from here on.
  void close() { listeners_.clear(); }

  [[nodiscard]] std::uint64_t clients() const { return clients_; }    // so far
  [[nodiscard]] std::uint64_t replaced() const { return replaced_; }  // by another one

 private:
  explicit Port(std::string name) : name_(std::move(name)) {}

  std::string name_;
  std::vector<io::Listener> listeners_;
  std::optional<Connection> leaving_;
  std::optional<Connection> present_;
  std::uint64_t clients_ = 0;
  std::uint64_t replaced_ = 0;
};

}  // namespace fieldpipe::uplink_service
