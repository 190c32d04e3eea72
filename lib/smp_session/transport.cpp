// SPDX-License-Identifier: MIT
#include "smp_session/transport.h"

#include "smp_session/datagram_transport.h"
#include "smp_session/stream_transport.h"

#ifdef FIELDPIPE_BLUETOOTH
#include "smp_session/bluetooth_transport.h"
#endif

namespace fieldpipe::smp_session {
namespace {

Result<io::Descriptor> connect(const Target& target, std::chrono::nanoseconds timeout, io::Loop& loop) {
  io::Connector connector(target.endpoint, timeout, target.kind == Target::Kind::kUdp ? SOCK_DGRAM : SOCK_STREAM);
  connector.start();
  for (;;) {
    auto socket = connector.advance();
    if (!socket) return tl::make_unexpected(std::move(socket).error().in(print_target(target)));
    if (*socket) return socket;
    connector.watch(loop);
    if (auto waited = loop.wait(connector.deadline()); !waited) return fail(std::move(waited));
    if (loop.stop_signal()) return fail(ErrorCode::kUnavailable, "stopped while connecting");
  }
}

}  // namespace

Result<std::unique_ptr<Transport>> open_transport(const Target& target, const TransportSettings& settings,
                                                  io::Loop& loop) {
  switch (target.kind) {
    case Target::Kind::kSerial:
    case Target::Kind::kRaw: {
      auto port = io::SerialPort::open(target.serial, settings.lines);
      if (!port) return fail(std::move(port));
      return std::make_unique<StreamTransport>(*std::move(port), target.kind == Target::Kind::kSerial, settings);
    }
    case Target::Kind::kTcp:
    case Target::Kind::kUdp: {
      auto socket = connect(target, settings.connect_timeout, loop);
      if (!socket) return fail(std::move(socket));
      if (target.kind == Target::Kind::kUdp) return std::make_unique<DatagramTransport>(*std::move(socket), settings);
      return std::make_unique<StreamTransport>(*std::move(socket), true, settings);
    }
    case Target::Kind::kBle:
#ifdef FIELDPIPE_BLUETOOTH
      return BluetoothTransport::open(target, settings, loop);
#else
      break;
#endif
  }
  return fail(ErrorCode::kUsage, "ble: is not built in");
}

}  // namespace fieldpipe::smp_session
