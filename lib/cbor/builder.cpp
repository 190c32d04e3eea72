// SPDX-License-Identifier: MIT
#include "cbor/builder.h"

namespace fieldpipe::cbor {

void Builder::begin(Kind kind, std::uint64_t count) {
  open_.push_back({kind, count, {}, {}, std::nullopt});
  if (count == 0) end();
}

void Builder::add(Value item) {
  for (;;) {
    if (open_.empty()) {
      done_ = std::move(item);
      return;
    }
    Open& top = open_.back();
    if (at_key()) {
      top.key = std::move(item);
      return;
    }
    if (top.kind == Kind::kMap) {
      top.map.emplace_back(*std::move(top.key), std::move(item));
      top.key.reset();
    } else {
      top.array.push_back(std::move(item));
    }
    if (top.left == kUntilEnd || --top.left > 0) return;
    item = close();
  }
}

Value Builder::close() {
  Open top = std::move(open_.back());
  open_.pop_back();
  return top.kind == Kind::kMap ? Value(std::move(top.map)) : Value(std::move(top.array));
}

}  // namespace fieldpipe::cbor
