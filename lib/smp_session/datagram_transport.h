// SPDX-License-Identifier: MIT
// Packets over UDP, one a datagram.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "io/descriptor.h"
#include "smp_session/transport.h"

namespace fieldpipe::smp_session {

class DatagramTransport : public Transport {
 public:
  // `socket` is connected.
  DatagramTransport(io::Descriptor socket, const TransportSettings& settings);

  Result<void> send(Bytes packet, bool again) override;
  void watch(io::Loop& loop) const override;
  Result<void> advance(std::vector<std::string>& packets) override;
  [[nodiscard]] std::size_t packet_limit(std::optional<std::size_t> buffer_bytes) const override;
  [[nodiscard]] std::string silence_hint() const override;

 private:
  Result<void> write();

  io::Descriptor socket_;
  std::size_t most_bytes_;  // of a datagram that the link carries whole
  std::deque<std::string> unsent_;
  bool refused_ = false;  // the host says that nobody listens
};

}  // namespace fieldpipe::smp_session
