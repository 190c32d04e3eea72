// SPDX-License-Identifier: MIT
#include "publisher/stored_message.h"

#include <array>
#include <concepts>
#include <cstdint>

namespace fieldpipe::publisher {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 4;
constexpr std::uint8_t kQosBits = 3;
constexpr std::uint8_t kRetainBit = 4;

template <std::unsigned_integral T>
void append_le(std::string& out, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  store_le(value, bytes.data());
  out.append(as_text(bytes));
}

void append_text(std::string& out, std::string_view text) {
  append_le(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

// Takes a text from the front of `bytes`; whether there was one.
bool take_text(Bytes& bytes, std::string& text) {
  if (bytes.size() < sizeof(std::uint32_t)) return false;
  const std::size_t size = load_le<std::uint32_t>(bytes.data());
  bytes = bytes.subspan(sizeof(std::uint32_t));
  if (size > bytes.size()) return false;
  text = as_text(bytes.first(size));
  bytes = bytes.subspan(size);
  return true;
}

}  // namespace

void append_stored_message(std::string& out, const mqtt::Outgoing& message) {
  static const mqtt::Properties kNone;
  const mqtt::Properties& properties = message.properties != nullptr ? *message.properties : kNone;
  append_le(out, kVersion);
  append_le(out, static_cast<std::uint8_t>(static_cast<unsigned>(message.qos) | (message.retain ? kRetainBit : 0U)));
  append_le(out, static_cast<std::uint16_t>(properties.size()));
  append_text(out, message.topic);
  for (const mqtt::Property& property : properties) {
    append_text(out, property.name);
    append_text(out, property.key);
    append_text(out, property.value);
  }
  out.append(as_text(message.payload));
}

std::optional<StoredMessage> decode_stored_message(Bytes bytes) {
  if (bytes.size() < kHeaderBytes || std::to_integer<std::uint8_t>(bytes[0]) != kVersion) return std::nullopt;
  const auto flags = std::to_integer<std::uint8_t>(bytes[1]);
  StoredMessage message;
  message.qos = flags & kQosBits;
  message.retain = (flags & kRetainBit) != 0;
  if (message.qos > 2 || flags > (kQosBits | kRetainBit)) return std::nullopt;
  std::size_t properties = load_le<std::uint16_t>(bytes.data() + 2);
  Bytes rest = bytes.subspan(kHeaderBytes);
  if (!take_text(rest, message.topic)) return std::nullopt;
  for (; properties > 0; --properties) {
    mqtt::Property& property = message.properties.emplace_back();
    if (!take_text(rest, property.name) || !take_text(rest, property.key) || !take_text(rest, property.value)) {
      return std::nullopt;
    }
  }
  message.payload = rest;
  return message;
}

}  // namespace fieldpipe::publisher
