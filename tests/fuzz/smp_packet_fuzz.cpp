// SPDX-License-Identifier: MIT
// Whatever a payload holds: what is taken from it encodes to a payload that gives the same again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "smp/fs.h"
#include "smp/image.h"
#include "smp/memfault.h"
#include "smp/os.h"
#include "smp/shell.h"

using namespace fieldpipe;

namespace {

template <typename T>
void round_trip(const cbor::Value& payload) {
  const auto message = smp::decode<T>(payload);
  if (!message) return;
  std::string bytes;
  smp::encode(bytes, *message);
  const auto again = smp::decode<T>(smp::decode_payload(as_bytes(bytes)).value());
  std::string once;
  std::string twice;
  smp::append_json(once, *message);
  smp::append_json(twice, again.value());
  if (once != twice) std::abort();
}

void look_at(Bytes packet) {
  const auto decoded = smp::decode_packet(packet);
  if (!decoded) return;
  const auto payload = smp::decode_payload(decoded->payload);
  if (!payload) return;
  if (const auto error = smp::find_error(*payload, decoded->header.group); error && *error) smp::print(**error);
  round_trip<smp::os::TaskStatistics::Response>(*payload);
  round_trip<smp::os::Echo::Response>(*payload);
  round_trip<smp::image::State>(*payload);
  round_trip<smp::image::Upload::Request>(*payload);
  round_trip<smp::fs::Hash::Response>(*payload);
  round_trip<smp::shell::Execute::Response>(*payload);
  round_trip<smp::memfault::ReadDeviceInfo::Response>(*payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  look_at(bytes);
  smp::PacketAssembler assembler;
  std::vector<std::string> packets;
  assembler.receive(bytes, packets);
  std::size_t total = assembler.pending_bytes() + assembler.strays();
  for (const std::string& packet : packets) {
    look_at(as_bytes(packet));
    total += packet.size();
  }
  if (total != size) std::abort();
  return 0;
}
