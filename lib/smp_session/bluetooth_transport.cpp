// SPDX-License-Identifier: MIT
#include "smp_session/bluetooth_transport.h"

#include <utility>

namespace fieldpipe::smp_session {
namespace {

constexpr const char* kService = "8d53dc1d-1db7-4cd3-868b-8a527460aa84";
constexpr const char* kCharacteristic = "da2e7828-fbce-4e01-ae9e-261174997c48";

}  // namespace

Result<std::unique_ptr<Transport>> BluetoothTransport::open(const Target& target, const TransportSettings& settings,
                                                            io::Loop& loop) {
  bluez::LinkOptions options;
  options.peripheral = target.peer;
  options.adapter = settings.adapter;
  options.service = kService;
  options.characteristic = kCharacteristic;
  options.pair = settings.pair;
  options.passkey = settings.passkey;
  options.forget = settings.forget;
  auto link = bluez::Link::connect(loop, std::move(options), monotonic_now() + settings.connect_timeout);
  if (!link) return tl::make_unexpected(std::move(link).error().in(print_target(target)));
  return std::unique_ptr<Transport>(new BluetoothTransport(*std::move(link)));
}

Result<void> BluetoothTransport::send(Bytes packet, bool again) {
  // What is pending was never completed.
  if (again) assembler_.clear();
  link_.send(packet);
  return link_.handle();
}

std::optional<MonotonicTime> BluetoothTransport::deadline() const {
  // Something may have come while we sent.
  if (!link_.received().empty()) return monotonic_now();
  return link_.deadline();
}

Result<void> BluetoothTransport::advance(std::vector<std::string>& packets) {
  if (auto handled = link_.handle(); !handled) return handled;
  for (const std::string& notification : link_.received()) assembler_.receive(as_bytes(notification), packets);
  link_.received().clear();
  return {};
}

// A device that does not tell its buffers may not put packets together from several writes either.
std::size_t BluetoothTransport::packet_limit(std::optional<std::size_t> buffer_bytes) const {
  return buffer_bytes.value_or(link_.payload_bytes());
}

std::string BluetoothTransport::silence_hint() const {
  return "a device that wants a bond drops what comes without one: --pair";
}

}  // namespace fieldpipe::smp_session
