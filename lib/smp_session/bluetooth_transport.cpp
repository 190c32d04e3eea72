// SPDX-License-Identifier: MIT
#include "smp_session/bluetooth_transport.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cli/secret.h"
#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::smp_session {
namespace {

constexpr const char* kService = "8d53dc1d-1db7-4cd3-868b-8a527460aa84";
constexpr const char* kCharacteristic = "da2e7828-fbce-4e01-ae9e-261174997c48";

// Bluetooth Core 5.3, vol 3, part H, 2.3.5.3.
constexpr std::uint32_t kMaxPasskey = 999999;

Result<std::uint32_t> read_passkey(const std::string& file) {
  auto text = cli::read_secret({.option = "--passkey-file", .path = file, .environment = {}, .credential = {}});
  if (!text) return fail(std::move(text));
  const auto digits = parse_integer<std::uint32_t>(trimmed(text->value_or("")));
  if (!digits || *digits > kMaxPasskey) {
    return fail(ErrorCode::kDenied, "--passkey-file: a passkey is a number from 0 to 999999");
  }
  return *digits;
}

}  // namespace

Result<std::unique_ptr<Transport>> BluetoothTransport::open(const Target& target, const TransportSettings& settings,
                                                            io::Loop& loop) {
  bluez::LinkOptions options;
  options.peripheral = target.peer;
  options.adapter = settings.adapter;
  options.service = kService;
  options.characteristic = kCharacteristic;
  options.pair = settings.pair;
  if (!settings.passkey_file.empty()) {
    options.passkey = [file = settings.passkey_file] { return read_passkey(file); };
  }
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

Result<void> scan_bluetooth(std::string& out, const std::string& adapter, MonotonicTime until, io::Loop& loop) {
  return bluez::scan(loop, adapter, until, [&out](const bluez::Peripheral& found) {
    out += R"({"kind":"ble","connect":)";
    json::append_string(out, "ble:" + found.address);
    if (!found.name.empty()) {
      out += R"(,"name":)";
      json::append_string(out, found.name);
    }
    if (found.rssi) {
      out += R"(,"rssi":)";
      json::append_integer(out, *found.rssi);
    }
    out += R"(,"smp":)";
    json::append_bool(out, std::find(found.services.begin(), found.services.end(), kService) != found.services.end());
    out += R"(,"paired":)";
    json::append_bool(out, found.paired);
    out += "}\n";
  });
}

}  // namespace fieldpipe::smp_session
