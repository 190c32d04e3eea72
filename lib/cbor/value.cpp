// SPDX-License-Identifier: MIT
#include "cbor/value.h"

namespace fieldpipe::cbor {
namespace {

template <typename Matches>
const Value* find_member(const Value::Map* map, Matches&& matches) {
  if (map == nullptr) return nullptr;
  for (const auto& [key, value] : *map) {
    if (matches(key)) return &value;
  }
  return nullptr;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  return find_member(map(), [&](const Value& each) { return each.text() != nullptr && *each.text() == key; });
}

const Value* Value::find(std::uint64_t key) const {
  return find_member(map(), [&](const Value& each) { return each.unsigned_integer() == key; });
}

}  // namespace fieldpipe::cbor
