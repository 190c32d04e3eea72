// SPDX-License-Identifier: MIT
// Packets over a serial port or a TCP connection, in console frames or bare.
#pragma once

#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "io/descriptor.h"
#include "io/serial_port.h"
#include "smp/console.h"
#include "smp/packet.h"
#include "smp_session/transport.h"

namespace fieldpipe::smp_session {

class StreamTransport : public Transport {
 public:
  using Stream = std::variant<io::SerialPort, io::Descriptor>;

  StreamTransport(Stream stream, bool framed, const TransportSettings& settings)
      : stream_(std::move(stream)), framed_(framed), settings_(settings) {}
  ~StreamTransport() override;

  Result<void> send(Bytes packet, bool again) override;
  void watch(io::Loop& loop) const override;
  [[nodiscard]] std::optional<MonotonicTime> deadline() const override;
  Result<void> advance(std::vector<std::string>& packets) override;
  [[nodiscard]] std::size_t packet_limit(std::optional<std::size_t> buffer_bytes) const override;
  [[nodiscard]] std::string silence_hint() const override;

 private:
  struct Piece {
    std::string bytes;
    std::chrono::nanoseconds pause_after{0};
  };

  [[nodiscard]] int descriptor() const;
  [[nodiscard]] bool resting() const { return monotonic_now() < not_before_; }
  Result<void> write();
  void take(Bytes bytes, std::vector<std::string>& packets);

  Stream stream_;
  bool framed_;
  TransportSettings settings_;
  std::deque<Piece> unsent_;
  std::size_t written_ = 0;  // of the first piece
  MonotonicTime not_before_{};
  smp::ConsoleReceiver console_;
  smp::PacketAssembler assembler_;
  std::string text_;
};

}  // namespace fieldpipe::smp_session
