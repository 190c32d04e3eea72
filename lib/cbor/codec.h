// SPDX-License-Identifier: MIT
// CBOR bytes (RFC 8949) to a Value and back. The only place that knows libcbor, and of it only the streaming decoder:
// its tree loader reserves what a length claims (five bytes make it touch 2 GiB).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cbor/value.h"
#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::cbor {

// What one decoded item may hold. Memory follows the items that are there, never a length that is only claimed.
struct Limits {
  std::size_t depth = 16;    // arrays and maps inside one another, the outermost counted
  std::size_t items = 4096;  // all items, keys and the pieces of strings included
};

// Decodes exactly one item. Lengths may be definite or indefinite; an indefinite string becomes one string. Tags are
// dropped and their content is kept. Keys are integers or texts. A text need not be UTF-8, because devices cut theirs
// anywhere. Fails with kBadData and the offset: damage, an end in the middle, bytes behind the item, a limit, an
// integer below -2^63, a simple value that has no meaning.
Result<Value> decode(Bytes bytes, const Limits& limits = {});

struct Prefix {
  Value value;
  std::size_t used_bytes = 0;
  bool complete = true;  // no: the bytes end inside; what is whole is in `value`, which is null if nothing was
};

// Decodes the item at the front of `bytes`, also when its end is missing. Otherwise as decode().
Result<Prefix> decode_prefix(Bytes bytes, const Limits& limits = {});

// How maps and arrays tell where they end: by their length in front, or by a mark behind, as Zephyr's devices do.
enum class Lengths : std::uint8_t { kDefinite, kIndefinite };

// Appends the shortest encoding of `value` with these lengths; floating point in 8 bytes.
void encode(std::string& out, const Value& value, Lengths lengths = Lengths::kDefinite);

}  // namespace fieldpipe::cbor
