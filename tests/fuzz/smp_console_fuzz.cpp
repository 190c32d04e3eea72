// SPDX-License-Identifier: MIT
// However a console's output is cut, the same packets and the same text come out of it, and packets go through again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "smp/console.h"
#include "smp/packet.h"

using namespace fieldpipe;

namespace {

struct Received {
  std::vector<std::string> packets;
  std::string text;

  bool operator==(const Received&) const = default;
};

Received receive(Bytes bytes, std::size_t step) {
  smp::ConsoleReceiver receiver;
  Received all;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(step, bytes.size()))) {
    receiver.receive(bytes.first(std::min(step, bytes.size())), all.packets, all.text);
  }
  receiver.finish(all.text);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const Received whole = receive(bytes, size + 1);
  if (receive(bytes, 1) != whole || whole.text.size() > size) std::abort();
  std::string lines;
  for (const std::string& packet : whole.packets) {
    if (!smp::decode_packet(as_bytes(packet))) std::abort();
    smp::append_console_lines(lines, as_bytes(packet));
  }
  if (receive(as_bytes(lines), 3) != Received{whole.packets, {}}) std::abort();
  return 0;
}
