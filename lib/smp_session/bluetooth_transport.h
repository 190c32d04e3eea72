// SPDX-License-Identifier: MIT
// Packets over Bluetooth LE: cut into writes, and put together from notifications.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bluez/peripheral.h"
#include "smp/packet.h"
#include "smp_session/transport.h"

namespace fieldpipe::smp_session {

class BluetoothTransport : public Transport {
 public:
  // Connects to the characteristic of SMP (zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/transport/src/smp_bt.c). Fails
  // as bluez::Link::connect does.
  static Result<std::unique_ptr<Transport>> open(const Target& target, const TransportSettings& settings,
                                                 io::Loop& loop);

  Result<void> send(Bytes packet, bool again) override;
  void watch(io::Loop& loop) const override { link_.watch(loop); }
  [[nodiscard]] std::optional<MonotonicTime> deadline() const override;
  Result<void> advance(std::vector<std::string>& packets) override;
  [[nodiscard]] std::size_t packet_limit(std::optional<std::size_t> buffer_bytes) const override;
  [[nodiscard]] std::string silence_hint() const override;

 private:
  explicit BluetoothTransport(bluez::Link link) : link_(std::move(link)) {}

  bluez::Link link_;
  smp::PacketAssembler assembler_;
};

// Listens until `until` or a stop signal, and appends an NDJSON object for each device that is heard: `kind`, `connect`
// as --connect takes it, `name`, `rssi` in dBm, `smp` where it advertises the service, `paired`. Fails as bluez::scan
// does.
Result<void> scan_bluetooth(std::string& out, const std::string& adapter, MonotonicTime until, io::Loop& loop);

}  // namespace fieldpipe::smp_session
