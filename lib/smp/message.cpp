// SPDX-License-Identifier: MIT
#include "smp/message.h"

namespace fieldpipe::smp {
namespace {

// Recursion is bounded by the depth that cbor::decode allows.
const std::string* find_duplicate(const cbor::Value& value) {
  if (const auto* items = value.array()) {
    for (const cbor::Value& item : *items) {
      if (const std::string* key = find_duplicate(item)) return key;
    }
  }
  if (value.map() == nullptr) return nullptr;
  std::vector<const std::string*> keys;
  for (const auto& [key, member] : *value.map()) {
    if (key.text() != nullptr) keys.push_back(key.text());
    if (const std::string* inner = find_duplicate(member)) return inner;
  }
  std::sort(keys.begin(), keys.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twice =
      std::adjacent_find(keys.begin(), keys.end(), [](const auto* a, const auto* b) { return *a == *b; });
  return twice != keys.end() ? *twice : nullptr;
}

}  // namespace

tl::unexpected<Error> message::wrong_type(std::string_view wanted) {
  return fail(ErrorCode::kBadData, fmt::format("is not {}", wanted));
}

Result<cbor::Value> decode_payload(Bytes payload) {
  auto value = cbor::decode(payload);
  if (!value) return value;
  if (value->map() == nullptr) return fail(ErrorCode::kBadData, "the payload is not a map");
  if (const std::string* key = find_duplicate(*value)) {
    return fail(ErrorCode::kBadData, fmt::format("the key '{}' stands twice", printable(*key)));
  }
  return value;
}

Result<std::optional<DeviceError>> find_error(const cbor::Value& payload, Group group) {
  if (const cbor::Value* err = payload.find("err")) {
    const cbor::Value* const of = err->find("group");
    const cbor::Value* const rc = err->find("rc");
    const auto number = of != nullptr ? of->unsigned_integer() : std::nullopt;
    const auto code = rc != nullptr ? rc->signed_integer() : std::nullopt;
    if (!number || !std::in_range<std::uint16_t>(*number) || !code) {
      return fail(ErrorCode::kBadData, "err is not a map of group and rc");
    }
    if (*code != 0) return DeviceError{static_cast<Group>(*number), *code, {}};
  }
  if (const cbor::Value* rc = payload.find("rc")) {
    const auto code = rc->signed_integer();
    if (!code) return fail(ErrorCode::kBadData, "rc is not a whole number");
    const bool is_status = group == Group::kShell && payload.find("o") != nullptr;
    if (*code != 0 && !is_status) {
      const cbor::Value* const reason = payload.find("rsn");
      const std::string* const text = reason != nullptr ? reason->text() : nullptr;
      return DeviceError{std::nullopt, *code, text != nullptr ? *text : std::string()};
    }
  }
  return std::nullopt;
}

std::size_t data_room(std::size_t empty_bytes, std::size_t limit_bytes) {
  if (limit_bytes <= empty_bytes) return 0;
  // The empty string's head of 1 byte is counted already; longer ones have 2, 3 or 5 (RFC 8949 section 3).
  const std::size_t left = limit_bytes - empty_bytes;
  if (left < 24) return left;
  if (left < 256 + 1) return std::max<std::size_t>(left - 1, 23);
  if (left < 65536 + 2) return std::max<std::size_t>(left - 2, 255);
  return left - 4;
}

}  // namespace fieldpipe::smp
