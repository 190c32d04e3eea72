// SPDX-License-Identifier: MIT
#include "smp/console.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "digest/crc16.h"
#include "smp/packet.h"

namespace fieldpipe::smp {
namespace {

constexpr std::string_view kFirst = "\x06\x09";
constexpr std::string_view kNext = "\x04\x14";
constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kCrcBytes = 2;

constexpr bool begins_marker(char c) { return c == kFirst[0] || c == kNext[0]; }

// What a line of a frame may hold behind its marker.
constexpr std::array<bool, 256> kBelongsInLine = [] {
  std::array<bool, 256> table{};
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (const char c : {'+', '/', '=', '\r'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

}  // namespace

bool begins_with_marker(std::string_view line) { return line.starts_with(kFirst) || line.starts_with(kNext); }

void append_console_lines(std::string& out, Bytes packet, std::size_t line_bytes) {
  std::string body(kLengthBytes, '\0');
  store_be(static_cast<std::uint16_t>(packet.size() + kCrcBytes), reinterpret_cast<std::byte*>(body.data()));
  body.append(as_text(packet));
  body.append(kCrcBytes, '\0');
  store_be(digest::crc16(0, packet), reinterpret_cast<std::byte*>(&body[body.size() - kCrcBytes]));
  std::string base64;
  append_base64(base64, as_bytes(body));
  const std::size_t characters = (line_bytes - kFirst.size() - 1) / 4 * 4;
  for (std::size_t begin = 0; begin < base64.size(); begin += characters) {
    out.append(begin == 0 ? kFirst : kNext).append(base64, begin, characters).push_back('\n');
  }
}

void ConsoleReceiver::receive(Bytes bytes, std::vector<std::string>& packets, std::string& text) {
  std::string_view rest = as_text(bytes);
  while (!rest.empty()) {
    if (line_.empty()) {
      const auto* const marker = std::find_if(rest.begin(), rest.end(), begins_marker);
      const auto length = static_cast<std::size_t>(marker - rest.begin());
      text.append(rest.substr(0, length));
      rest.remove_prefix(length);
      if (rest.empty()) return;
      line_.push_back(rest.front());
      rest.remove_prefix(1);
      continue;
    }
    const char c = rest.front();
    if (!in_line_) {
      if ((line_[0] == kFirst[0] && c == kFirst[1]) || (line_[0] == kNext[0] && c == kNext[1])) {
        line_.push_back(c);
        in_line_ = true;
        rest.remove_prefix(1);
      } else {
        give_up_line(text);
      }
    } else if (c == '\n') {
      line_.push_back(c);
      rest.remove_prefix(1);
      end_line(packets, text);
    } else if (kBelongsInLine[static_cast<unsigned char>(c)] && line_.size() < kMaxConsoleLineBytes) {
      line_.push_back(c);
      rest.remove_prefix(1);
    } else {
      give_up_line(text);  // a marker may begin here, so c is looked at again
    }
  }
}

void ConsoleReceiver::finish(std::string& text) {
  give_up_line(text);
  drop_packet();
}

void ConsoleReceiver::give_up_line(std::string& text) {
  // A log line within a line of a frame: the packet is lost with it.
  if (in_line_) drop_packet();
  text.append(line_);
  line_.clear();
  in_line_ = false;
}

void ConsoleReceiver::drop_packet() {
  in_packet_ = false;
  carried_.clear();
  decoded_.clear();
}

void ConsoleReceiver::end_line(std::vector<std::string>& packets, std::string& text) {
  if (line_[0] == kFirst[0]) {
    drop_packet();
    in_packet_ = true;
  }
  std::string base64 = carried_;
  for (const char c : std::string_view(line_).substr(kFirst.size())) {
    if (c != '\r' && c != '\n') base64.push_back(c);
  }
  const std::size_t whole = base64.size() / 4 * 4;
  if (!in_packet_) {
    // The rest of a packet whose beginning was lost.
  } else if (!decode_base64(std::string_view(base64).substr(0, whole), decoded_)) {
    give_up_line(text);
  } else {
    carried_ = base64.substr(whole);
    take(packets);
  }
  line_.clear();
  in_line_ = false;
}

void ConsoleReceiver::take(std::vector<std::string>& packets) {
  if (decoded_.size() < kLengthBytes) return;
  const std::size_t length = load_be<std::uint16_t>(as_bytes(decoded_).data());
  const std::size_t have = decoded_.size() - kLengthBytes;
  if (length < kHeaderBytes + kCrcBytes || have > length) return drop_packet();
  if (have < length) return;
  const Bytes packet = as_bytes(decoded_).subspan(kLengthBytes, length - kCrcBytes);
  const auto header = decode_header(packet);
  // The checksum over a packet and its checksum is 0.
  if (digest::crc16(0, as_bytes(decoded_).subspan(kLengthBytes)) == 0 && header &&
      header->length == packet.size() - kHeaderBytes) {
    packets.emplace_back(as_text(packet));
  }
  drop_packet();
}

}  // namespace fieldpipe::smp
