// SPDX-License-Identifier: MIT
// A CBOR data item (RFC 8949) as a value, whatever its encoding was.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fieldpipe::cbor {

// A byte string, which is another type than a text.
struct ByteString {
  std::string bytes;
  bool operator==(const ByteString&) const = default;
};

// The value `undefined`, which is another than `null`.
struct Undefined {
  bool operator==(const Undefined&) const = default;
};

// One data item with all that is in it. Maps keep their order; a key that stands twice is kept twice.
//
//   Value request(Value::Map{{"off", 0}, {"data", ByteString{"\x01\x02"}}});
//   if (const Value* off = request.find("off")) use(off->unsigned_integer());
class Value {
 public:
  using Array = std::vector<Value>;
  using Map = std::vector<std::pair<Value, Value>>;

  Value() = default;  // null
  Value(std::nullptr_t) {}
  Value(Undefined undefined) : data_(undefined) {}
  Value(std::same_as<bool> auto boolean) : data_(boolean) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Value(T integer) {
    if (std::in_range<std::uint64_t>(integer))
      data_ = static_cast<std::uint64_t>(integer);
    else
      data_ = static_cast<std::int64_t>(integer);
  }
  Value(double number) : data_(number) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(ByteString bytes) : data_(std::move(bytes)) {}
  Value(Array array) : data_(std::move(array)) {}
  Value(Map map) : data_(std::move(map)) {}

  // What the value is, or nothing (null) when it is of another type. Integers are given in either type they fit into.
  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  [[nodiscard]] std::optional<bool> boolean() const { return copy_of<bool>(); }
  [[nodiscard]] std::optional<std::uint64_t> unsigned_integer() const { return copy_of<std::uint64_t>(); }
  [[nodiscard]] std::optional<std::int64_t> signed_integer() const {
    const auto number = copy_of<std::uint64_t>();
    if (!number) return copy_of<std::int64_t>();
    if (!std::in_range<std::int64_t>(*number)) return std::nullopt;
    return static_cast<std::int64_t>(*number);
  }
  [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&data_); }
  [[nodiscard]] const std::string* bytes() const {
    const auto* string = std::get_if<ByteString>(&data_);
    return string != nullptr ? &string->bytes : nullptr;
  }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&data_); }
  [[nodiscard]] const Map* map() const { return std::get_if<Map>(&data_); }

  // The value of the first member with this key, null when there is none or this is no map.
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] const Value* find(std::uint64_t key) const;

  // Calls `visitor` with what the value is: std::monostate (null), Undefined, bool, std::uint64_t, std::int64_t (only
  // below 0), double, std::string (text), ByteString, Array or Map.
  template <typename Visitor>
  decltype(auto) visit(Visitor&& visitor) const {
    return std::visit(std::forward<Visitor>(visitor), data_);
  }

  bool operator==(const Value&) const = default;

 private:
  template <typename T>
  [[nodiscard]] std::optional<T> copy_of() const {
    const T* held = std::get_if<T>(&data_);
    return held != nullptr ? std::optional<T>(*held) : std::nullopt;
  }

  std::variant<std::monostate, Undefined, bool, std::uint64_t, std::int64_t, double, std::string, ByteString, Array,
               Map>
      data_;
};

}  // namespace fieldpipe::cbor
