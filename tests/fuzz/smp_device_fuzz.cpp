// SPDX-License-Identifier: MIT
// Whatever a device is sent, it answers with packets that fit its buffers and answer requests, and goes on.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "smp/packet.h"
#include "smp_device/device.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  smp_device::Profile profile;
  profile.project_key = "0123456789abcdef0123456789ABCDEF";
  profile.image = smp_device::make_image({1, 0, 0, 0});
  profile.buffer_bytes = 384;
  MonotonicTime now{};
  smp_device::Device device(profile, now);
  // Each buffer has its length in front, as a byte.
  Bytes bytes = std::as_bytes(std::span(data, size));
  while (!bytes.empty()) {
    const std::size_t length = std::min(std::to_integer<std::size_t>(bytes[0]), bytes.size() - 1);
    std::vector<std::string> answers;
    device.receive(bytes.subspan(1, length), now, answers);
    for (const std::string& answer : answers) {
      const auto packet = smp::decode_packet(as_bytes(answer));
      if (!packet || smp::is_request(packet->header.op) || answer.size() > profile.buffer_bytes) std::abort();
    }
    bytes = bytes.subspan(1 + length);
    now += std::chrono::milliseconds(300);
    device.advance(now);
  }
  return 0;
}
