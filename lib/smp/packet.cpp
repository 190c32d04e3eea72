// SPDX-License-Identifier: MIT
#include "smp/packet.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::smp {
namespace {

constexpr std::array<std::pair<Group, std::string_view>, 10> kGroupNames{{
    {Group::kOs, "os"},
    {Group::kImage, "image"},
    {Group::kStat, "stat"},
    {Group::kSettings, "settings"},
    {Group::kFs, "fs"},
    {Group::kShell, "shell"},
    {Group::kEnum, "enum"},
    {Group::kTransport, "transport"},
    {Group::kZephyr, "zephyr"},
    {Group::kMemfault, "memfault"},
}};

// Three reserved bits, a version of 2 or 3, an op of 4 to 7: no packet begins like this.
bool can_begin_packet(char byte) { return (static_cast<unsigned char>(byte) & 0xF4U) == 0; }

}  // namespace

Result<Header> decode_header(Bytes bytes) {
  if (bytes.size() < kHeaderBytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("a packet of {} bytes, its header alone has {}", bytes.size(), kHeaderBytes));
  }
  const auto first = std::to_integer<unsigned>(bytes[0]);
  return Header{.op = static_cast<Op>(first & 7U),
                .version = static_cast<Version>(first >> 3U & 3U),
                .flags = std::to_integer<std::uint8_t>(bytes[1]),
                .length = load_be<std::uint16_t>(&bytes[2]),
                .group = static_cast<Group>(load_be<std::uint16_t>(&bytes[4])),
                .sequence = std::to_integer<std::uint8_t>(bytes[6]),
                .command = std::to_integer<std::uint8_t>(bytes[7])};
}

Result<Packet> decode_packet(Bytes bytes) {
  const auto header = decode_header(bytes);
  if (!header) return tl::make_unexpected(header.error());
  const Bytes rest = bytes.subspan(kHeaderBytes);
  if (header->length > rest.size()) {
    return fail(ErrorCode::kBadData,
                fmt::format("a packet with {} of the {} payload bytes that it announces", rest.size(), header->length));
  }
  return Packet{*header, rest.first(header->length)};
}

void append_packet(std::string& out, Header header, Bytes payload) {
  const std::size_t start = out.size();
  out.resize(start + kHeaderBytes);
  auto* const to = reinterpret_cast<std::byte*>(out.data() + start);
  to[0] = static_cast<std::byte>(static_cast<unsigned>(header.version) << 3U | static_cast<unsigned>(header.op));
  to[1] = static_cast<std::byte>(header.flags);
  store_be(static_cast<std::uint16_t>(payload.size()), to + 2);
  store_be(static_cast<std::uint16_t>(header.group), to + 4);
  to[6] = static_cast<std::byte>(header.sequence);
  to[7] = static_cast<std::byte>(header.command);
  out.append(as_text(payload));
}

bool answers(const Header& response, const Header& request) {
  return response.op == response_op(request.op) && response.sequence == request.sequence &&
         response.group == request.group && response.command == request.command;
}

void PacketAssembler::receive(Bytes bytes, std::vector<std::string>& packets) {
  pending_.append(as_text(bytes));
  std::size_t begin = 0;
  for (;;) {
    while (begin < pending_.size() && !can_begin_packet(pending_[begin])) ++begin, ++strays_;
    const auto header = decode_header(as_bytes(pending_).subspan(begin));
    if (!header) break;
    const std::size_t size = kHeaderBytes + header->length;
    if (pending_.size() - begin < size) break;
    packets.push_back(pending_.substr(begin, size));
    begin += size;
  }
  pending_.erase(0, begin);
}

std::optional<std::string_view> group_name(Group group) {
  const auto* const found =
      std::find_if(kGroupNames.begin(), kGroupNames.end(), [&](const auto& row) { return row.first == group; });
  if (found == kGroupNames.end()) return std::nullopt;
  return found->second;
}

Result<Group> parse_group(std::string_view text) {
  for (const auto& [group, name] : kGroupNames) {
    if (name == text) return group;
  }
  if (const auto number = parse_integer<std::uint16_t>(text)) return static_cast<Group>(*number);
  return fail(ErrorCode::kUsage,
              fmt::format("'{}' is neither a group's name nor a number from 0 to 65535", printable(text)));
}

}  // namespace fieldpipe::smp
