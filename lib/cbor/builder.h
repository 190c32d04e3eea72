// SPDX-License-Identifier: MIT
// Puts a Value together from its parts in the order in which a decoder meets them, without recursion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cbor/value.h"

namespace fieldpipe::cbor {

// Arrays and maps that are begun and not yet ended, and the value that is complete when none is.
class Builder {
 public:
  enum class Kind : std::uint8_t { kArray, kMap };

  // Items that an array, or pairs that a map takes when its end is announced by a mark.
  static constexpr std::uint64_t kUntilEnd = ~std::uint64_t{0};

  // Begins an array of `count` items or a map of `count` pairs, which ends by itself after the last one.
  void begin(Kind kind, std::uint64_t count);

  // Adds one item: the next element, the next key, or the value of the key before it.
  void add(Value item);

  // Takes the innermost array or map out as it is. A key without its value is dropped.
  Value close();

  // Ends the innermost array or map.
  void end() { add(close()); }

  // Arrays and maps that are open.
  [[nodiscard]] std::size_t depth() const { return open_.size(); }
  [[nodiscard]] Kind kind() const { return open_.back().kind; }                            // of the innermost
  [[nodiscard]] bool until_end() const { return open_.back().left == kUntilEnd; }          // of the innermost
  [[nodiscard]] bool at_key() const { return kind() == Kind::kMap && !open_.back().key; }  // the next item is a key
  [[nodiscard]] std::optional<Value>& done() { return done_; }

 private:
  struct Open {
    Kind kind;
    std::uint64_t left;
    Value::Array array;
    Value::Map map;
    std::optional<Value> key;
  };

  std::vector<Open> open_;
  std::optional<Value> done_;
};

}  // namespace fieldpipe::cbor
