// SPDX-License-Identifier: MIT
// The header of a message, and a message as a line of JSON (memfault/memfault-firmware-sdk:
// components/core/src/memfault_data_packetizer.c, components/include/memfault/core/serializer_key_ids.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::memfault {

enum class MessageType : std::uint8_t {
  kNone = 0,
  kCoredump = 1,
  kEvent = 2,
  kLog = 3,
  kRecording = 4,
  kMar = 5,  // a ZIP of memfaultd, which is named and left alone
};

// Views of the message.
struct MessageHeader {
  MessageType type{};
  bool run_length_coded = false;
  std::string_view project_key;  // empty where the message has none
  Bytes payload;                 // as it was sent
};

// Takes the header off. Fails with kBadData: no byte at all, or too few for the key it announces.
Result<MessageHeader> decode_message(Bytes message);

// `event`; empty for a type that is not known.
std::string_view print_message_type(MessageType type);

// Turns messages into members of a JSON object. Keeps what the last message expanded to.
class MessagePrinter {
 public:
  // `max_payload_bytes` bounds a payload after run-length decoding.
  explicit MessagePrinter(std::size_t max_payload_bytes) : max_payload_bytes_(max_payload_bytes) {}

  // Appends members, each with a comma in front: `type`, and by it `events` (a list: a device may batch them) or
  // `coredump`. What cannot be read is told in `error`; what was read before it is there. Of a list that announces more
  // than follows, as old firmware sends, what is there is shown and `cut` is true. The project key is not printed.
  // Fails with kBadData and the text of `error`.
  Result<void> append_members(std::string& out, Bytes message);

  // The payload of the last message without run-length coding. A view of it, or of this object.
  [[nodiscard]] Bytes payload() const { return payload_; }
  [[nodiscard]] MessageType type() const { return type_; }

 private:
  Result<void> append(std::string& out, Bytes message);
  Result<void> append_events(std::string& out) const;
  Result<void> append_coredump(std::string& out) const;

  std::size_t max_payload_bytes_;
  MessageType type_{};
  Bytes payload_;
  std::string expanded_;
};

}  // namespace fieldpipe::memfault
