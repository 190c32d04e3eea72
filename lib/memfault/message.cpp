// SPDX-License-Identifier: MIT
#include "memfault/message.h"

#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "cbor/codec.h"
#include "json/writer.h"
#include "memfault/coredump.h"
#include "memfault/event_text.h"
#include "memfault/identity.h"
#include "memfault/reboot_reason.h"
#include "memfault/rle.h"

namespace fieldpipe::memfault {
namespace {

constexpr unsigned kRunLengthBit = 0x80;
constexpr unsigned kProjectKeyBit = 0x40;
constexpr unsigned kTypeBits = 0x3F;

// A log of 64 Ki lines. Each item takes some 40 bytes of memory.
constexpr cbor::Limits kLimits{.depth = 16, .items = 262'144};

constexpr std::array<std::string_view, 6> kTypes = {"none", "coredump", "event", "log", "recording", "mar"};

void append_number(std::string& out, std::string_view name, std::uint64_t number) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":{}", name, number);
}

void append_text(std::string& out, std::string_view name, std::string_view text) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  json::append_string(out, text);
}

// `"r0":"0x00000000"` for each word, or the words alone where they have no names.
void append_registers(std::string& out, std::uint32_t machine, Bytes words) {
  const std::size_t count = words.size() / 4;
  const auto names = register_names(machine, count);
  out.push_back(names.empty() ? '[' : '{');
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(',');
    if (!names.empty()) fmt::format_to(std::back_inserter(out), "\"{}\":", names[i]);
    fmt::format_to(std::back_inserter(out), "\"{:#010x}\"", load_le<std::uint32_t>(words.data() + 4 * i));
  }
  out.push_back(names.empty() ? ']' : '}');
}

void append_block(std::string& out, const Block& block) {
  const auto name = print_block_type(block.type);
  if (name.empty())
    fmt::format_to(std::back_inserter(out), "{{\"type\":{}", static_cast<unsigned>(block.type));
  else
    fmt::format_to(std::back_inserter(out), "{{\"type\":\"{}\"", name);
  fmt::format_to(std::back_inserter(out), ",\"address\":\"{:#010x}\",\"bytes\":{}}}", block.address, block.data.size());
}

void append_content(std::string& out, const Coredump& dump) {
  fmt::format_to(std::back_inserter(out), "{{\"version\":{},\"total_bytes\":{},\"truncated\":{}", dump.version,
                 dump.total_bytes, dump.truncated);
  constexpr std::pair<BlockType, std::string_view> kTexts[] = {{BlockType::kDeviceSerial, "device_serial"},
                                                               {BlockType::kSoftwareType, "software_type"},
                                                               {BlockType::kSoftwareVersion, "software_version"},
                                                               {BlockType::kHardwareVersion, "hardware_version"}};
  for (const auto& [type, name] : kTexts) {
    if (const auto text = dump.find(type)) append_text(out, name, as_text(*text));
  }
  if (const auto build = dump.find(BlockType::kBuildId)) {
    out.append(",\"build_id\":\"");
    append_hex(out, *build);
    out.push_back('"');
  }
  const auto machine = dump.find_number(BlockType::kMachineType);
  if (machine) {
    append_number(out, "machine", *machine);
    if (const auto name = print_machine(*machine); !name.empty()) append_text(out, "machine_name", name);
  }
  if (const auto reason = dump.find_number(BlockType::kTraceReason)) {
    append_number(out, "reason", *reason);
    if (const auto name = print_reboot_reason(*reason); !name.empty()) append_text(out, "reason_name", name);
  }
  out.append(",\"registers\":");
  char before = '[';
  for (const Block& block : dump.blocks) {
    if (block.type != BlockType::kCurrentRegisters) continue;
    out.push_back(std::exchange(before, ','));
    append_registers(out, machine.value_or(0), block.data);
  }
  out.append(before == '[' ? "[]" : "]").append(",\"blocks\":");
  before = '[';
  for (const Block& block : dump.blocks) {
    out.push_back(std::exchange(before, ','));
    append_block(out, block);
  }
  out.append(before == '[' ? "[]}" : "]}");
}

}  // namespace

Result<MessageHeader> decode_message(Bytes message) {
  if (message.empty()) return fail_at(0, ErrorCode::kBadData, "a message without its first byte");
  const auto first = std::to_integer<unsigned>(message[0]);
  MessageHeader header{
      static_cast<MessageType>(first & kTypeBits), (first & kRunLengthBit) != 0, {}, message.subspan(1)};
  if ((first & kProjectKeyBit) == 0) return header;
  // The key is a C string with its NUL.
  if (header.payload.size() <= kProjectKeyBytes) {
    return fail_at(
        1, ErrorCode::kBadData,
        fmt::format("{} bytes for a project key of {} and its NUL", header.payload.size(), kProjectKeyBytes));
  }
  header.project_key = as_text(header.payload.first(kProjectKeyBytes));
  header.payload = header.payload.subspan(kProjectKeyBytes + 1);
  return header;
}

std::string_view print_message_type(MessageType type) {
  const auto index = static_cast<std::size_t>(type);
  return index < kTypes.size() ? kTypes[index] : std::string_view();
}

Result<void> MessagePrinter::append_members(std::string& out, Bytes message) {
  auto done = append(out, message);
  if (done) return done;
  Error error = std::move(done).error();
  if (error.offset) error.what.insert(0, fmt::format("byte {}: ", *error.offset));
  append_text(out, "error", error.what);
  return tl::make_unexpected(std::move(error));
}

Result<void> MessagePrinter::append(std::string& out, Bytes message) {
  payload_ = {};
  type_ = MessageType::kNone;
  auto header = decode_message(message);
  if (!header) return fail(std::move(header));
  type_ = header->type;
  if (const auto name = print_message_type(type_); !name.empty())
    append_text(out, "type", name);
  else
    append_number(out, "type", static_cast<std::uint64_t>(type_));
  if (!header->project_key.empty()) out.append(",\"holds_project_key\":true");
  payload_ = header->payload;
  if (header->run_length_coded) {
    std::string().swap(expanded_);
    if (auto decoded = decode_rle(header->payload, max_payload_bytes_, expanded_); !decoded) return decoded;
    payload_ = as_bytes(expanded_);
  }
  switch (type_) {
    case MessageType::kCoredump: return append_coredump(out);
    case MessageType::kEvent:
    case MessageType::kLog:
    case MessageType::kRecording: return append_events(out);
    default: append_number(out, "payload_bytes", payload_.size()); return {};
  }
}

Result<void> MessagePrinter::append_events(std::string& out) const {
  auto decoded = cbor::decode_prefix(payload_, kLimits);
  if (!decoded) return fail(std::move(decoded));
  if (!decoded->complete && decoded->value.is_null())
    return fail_at(0, ErrorCode::kBadData, fmt::format("{} bytes that hold no event", payload_.size()));
  out.append(",\"events\":");
  memfault::append_events(out, decoded->value);
  if (!decoded->complete) out.append(",\"cut\":true");
  if (decoded->used_bytes != payload_.size() && decoded->complete) {
    return fail_at(decoded->used_bytes, ErrorCode::kBadData,
                   fmt::format("{} bytes behind the event", payload_.size() - decoded->used_bytes));
  }
  return {};
}

Result<void> MessagePrinter::append_coredump(std::string& out) const {
  auto dump = decode_coredump(payload_);
  if (!dump) return fail(std::move(dump));
  out.append(",\"coredump\":");
  append_content(out, *dump);
  if (dump->damage) return tl::make_unexpected(*std::move(dump->damage));
  return {};
}

}  // namespace fieldpipe::memfault
