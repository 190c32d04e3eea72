// SPDX-License-Identifier: MIT
// A message that is read out of arbitrary bytes is stored as the same bytes again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "publisher/stored_message.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto message = publisher::decode_stored_message(bytes);
  if (!message) return 0;
  std::string again;
  publisher::append_stored_message(
      again, {message->topic, message->payload, message->qos, message->retain, &message->properties});
  if (again != as_text(bytes)) std::abort();
  return 0;
}
