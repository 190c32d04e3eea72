// SPDX-License-Identifier: MIT
// SMP packets: the 8 byte header and what belongs to which request. Layout: zephyrproject-rtos/zephyr
// doc/services/device_mgmt/smp_protocol.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::smp {

inline constexpr std::size_t kHeaderBytes = 8;
// Of what is sent: a console frame counts packet and checksum in 16 bits.
inline constexpr std::size_t kMaxPacketBytes = 65535 - 2;
inline constexpr std::size_t kMaxPayloadBytes = kMaxPacketBytes - kHeaderBytes;

// What a packet asks for, or answers.
enum class Op : std::uint8_t { kRead = 0, kReadResponse = 1, kWrite = 2, kWriteResponse = 3 };

// As on the wire: what people call version 1 is 0. Servers answer with the version of the request, at most 1.
enum class Version : std::uint8_t { k1 = 0, k2 = 1 };

// Groups with a name; others are numbers as well. Application groups begin at kUser.
enum class Group : std::uint16_t {
  kOs = 0,
  kImage = 1,
  kStat = 2,
  kSettings = 3,
  kFs = 8,
  kShell = 9,
  kEnum = 10,
  kTransport = 11,
  kZephyr = 63,
  kUser = 64,
  kMemfault = 128,
};

// The header. On the wire numbers have the most significant byte first.
struct Header {
  Op op = Op::kRead;  // 3 bits; values above kWriteResponse are kept as they came
  Version version = Version::k2;
  std::uint8_t flags = 0;  // Zephyr sends 0, Mynewt 1: means nothing
  std::uint16_t length = 0;
  Group group = Group::kOs;
  std::uint8_t sequence = 0;
  std::uint8_t command = 0;

  bool operator==(const Header&) const = default;
};

// A packet in a buffer of somebody else.
struct Packet {
  Header header;
  Bytes payload;
};

// Which op asks, and which one answers it.
inline bool is_request(Op op) { return op == Op::kRead || op == Op::kWrite; }
inline Op response_op(Op request) { return request == Op::kRead ? Op::kReadResponse : Op::kWriteResponse; }

// The header at the start of `bytes`. Fails with kBadData for fewer than kHeaderBytes.
Result<Header> decode_header(Bytes bytes);

// The packet at the start of a datagram or of what a framing delivered; what follows it is ignored, as servers do
// (zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/smp/src/smp.c). Fails with kBadData where the payload is not all there.
Result<Packet> decode_packet(Bytes bytes);

// Appends header and payload; `header.length` is taken from the payload, of at most kMaxPayloadBytes.
void append_packet(std::string& out, Header header, Bytes payload);

// Whether `response` answers `request`: the op that belongs to it, the same group, command and sequence. Versions may
// differ, old servers answer in theirs.
bool answers(const Header& response, const Header& request);

// Puts packets together that come back to back without any framing: a raw UART, or the notifications of Bluetooth LE.
class PacketAssembler {
 public:
  // Appends the packets that are complete with these bytes to `packets`.
  void receive(Bytes bytes, std::vector<std::string>& packets);

  // Bytes of a packet that is not complete.
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }

  // Bytes that cannot be the start of a packet and were passed over: the line is out of step, and nothing tells where
  // the next packet begins.
  [[nodiscard]] std::uint64_t strays() const { return strays_; }

  // Forgets what is pending, as after a time limit.
  void clear() { pending_.clear(); }

 private:
  std::string pending_;
  std::uint64_t strays_ = 0;
};

// Name of a group for people: `image`; nothing for one without a name.
std::optional<std::string_view> group_name(Group group);

// The group of a name or a number from 0 to 65535. Fails with kUsage.
Result<Group> parse_group(std::string_view text);

}  // namespace fieldpipe::smp
