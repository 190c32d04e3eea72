// SPDX-License-Identifier: MIT
// What tests/integration/test_bluez.py drives: lib/bluez by itself, without SMP.
//
//   bluez_driver scan
//   bluez_driver echo PERIPHERAL PASSKEY|- BYTES SECONDS    sends so many bytes in pieces, prints how they came back
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "bluez/peripheral.h"
#include "core/bytes.h"

namespace fieldpipe {
namespace {

int report(const Error& error) {
  std::printf("failed %d %s\n", static_cast<int>(error.code), error.what.c_str());
  return 1;
}

int scan(io::Loop& loop) {
  const auto shown =
      bluez::scan(loop, "", monotonic_now() + std::chrono::milliseconds(300), [](const bluez::Peripheral& found) {
        std::printf("%s %s %d %zu\n", found.address.c_str(), found.name.c_str(), found.rssi.value_or(0),
                    found.services.size());
      });
  return shown ? 0 : report(shown.error());
}

int echo(io::Loop& loop, const char* peripheral, const char* passkey, std::size_t size, std::chrono::seconds patience) {
  bluez::LinkOptions options;
  options.peripheral = peripheral;
  options.service = "8d53dc1d-1db7-4cd3-868b-8a527460aa84";
  options.characteristic = "da2e7828-fbce-4e01-ae9e-261174997c48";
  if (std::string_view(passkey) != "-") {
    options.passkey = [passkey]() -> Result<std::uint32_t> { return static_cast<std::uint32_t>(std::stoul(passkey)); };
  }
  const MonotonicTime deadline = monotonic_now() + patience;
  auto link = bluez::Link::connect(loop, std::move(options), deadline);
  if (!link) return report(link.error());
  std::string sent;
  for (std::size_t i = 0; i < size; ++i) sent.push_back(static_cast<char>(i * 7));
  link->send(as_bytes(sent));
  std::string came;
  std::size_t pieces = 0;
  while (came.size() < size && monotonic_now() < deadline) {
    if (auto handled = link->handle(); !handled) return report(handled.error());
    for (const std::string& notification : link->received()) {
      came += notification;
      ++pieces;
    }
    link->received().clear();
    link->watch(loop);
    if (came.size() < size) {
      if (auto waited = loop.wait(std::min(deadline, link->deadline())); !waited) return report(waited.error());
    }
  }
  std::printf("%s in %zu pieces of %zu\n", came == sent ? "same" : "different", pieces, link->payload_bytes());
  return came == sent ? 0 : 1;
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  auto loop = fieldpipe::io::Loop::create(std::chrono::seconds(1));
  if (!loop || argc < 2) return 70;
  const std::string_view verb = argv[1];
  if (verb == "scan") return fieldpipe::scan(*loop);
  if (verb == "echo" && argc == 6) {
    return fieldpipe::echo(*loop, argv[2], argv[3], std::stoul(argv[4]), std::chrono::seconds(std::stoul(argv[5])));
  }
  return 64;
}
