// SPDX-License-Identifier: MIT
// What decodes comes back from its own encoding, and its JSON is JSON.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "cbor/codec.h"
#include "cbor/json.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto prefix = cbor::decode_prefix(bytes);
  if (prefix && prefix->used_bytes > size) std::abort();
  const auto value = cbor::decode(bytes);
  if (!value) return 0;
  std::string encoded;
  cbor::encode(encoded, *value);
  std::string again;
  const auto same = cbor::decode(as_bytes(encoded));
  if (!same) std::abort();
  cbor::encode(again, *same);  // not the values: NaN is unequal to itself
  std::string json;
  cbor::append_json(json, *value);
  json::Reader reader;
  if (again != encoded || !reader.is_value(json)) std::abort();
  return 0;
}
