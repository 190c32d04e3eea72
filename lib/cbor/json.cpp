// SPDX-License-Identifier: MIT
#include "cbor/json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "cbor/builder.h"
#include "cbor/codec.h"
#include "core/bytes.h"
#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::cbor {
namespace {

constexpr std::string_view kBytesKey = "$bytes";

void append_key(std::string& out, const Value& key) {
  if (key.text() != nullptr) return json::append_string(out, *key.text());
  out.push_back('"');
  append_json(out, key);
  out.push_back('"');
}

// A number as it is written.
std::optional<Value> parse_number(std::string_view text) {
  if (const auto number = parse_integer<std::uint64_t>(text)) return Value(*number);
  if (const auto number = parse_integer<std::int64_t>(text)) return Value(*number);
  return std::nullopt;
}

// The current value of `reader`, which is no array and no object.
Value take_scalar(json::Reader& reader) {
  switch (reader.type()) {
    case json::Type::kString: return reader.string();
    case json::Type::kTrue:
    case json::Type::kFalse: return reader.boolean();
    case json::Type::kNumber: {
      const std::string_view text = reader.text();
      if (auto integer = parse_number(text)) return *std::move(integer);
      double number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || text.find_first_of(".eE") == std::string_view::npos)
        reader.refuse("a number beyond the range of 64 bits");
      return number;
    }
    default: reader.skip(); return {};
  }
}

// A map of JSON, or the bytes that it stands for.
Value map_or_bytes(json::Reader& reader, Value map) {
  const Value::Map& members = *map.map();
  if (members.size() != 1 || *members[0].first.text() != kBytesKey) return map;
  ByteString string;
  if (const std::string* hex = members[0].second.text(); hex == nullptr || !decode_hex(*hex, string.bytes))
    reader.refuse("\"$bytes\" is not a string of hex digits, two a byte");
  return string;
}

}  // namespace

// Recursion: as in encode().
void append_json(std::string& out, const Value& value) {
  value.visit([&](const auto& held) {
    using T = std::remove_cvref_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::monostate> || std::is_same_v<T, Undefined>) {
      out.append("null");
    } else if constexpr (std::is_same_v<T, bool>) {
      json::append_bool(out, held);
    } else if constexpr (std::is_integral_v<T>) {
      json::append_integer(out, held);
    } else if constexpr (std::is_same_v<T, double>) {
      if (std::isfinite(held))
        json::append_double(out, held);
      else
        out.append("null");
    } else if constexpr (std::is_same_v<T, std::string>) {
      json::append_string(out, held);
    } else if constexpr (std::is_same_v<T, ByteString>) {
      out.append("{\"$bytes\":\"");
      append_hex(out, as_bytes(held.bytes));
      out.append("\"}");
    } else if constexpr (std::is_same_v<T, Value::Array>) {
      char before = '[';
      for (const Value& item : held) {
        out.push_back(std::exchange(before, ','));
        append_json(out, item);
      }
      out.append(held.empty() ? "[]" : "]");
    } else {
      char before = '{';
      for (const auto& [key, item] : held) {
        out.push_back(std::exchange(before, ','));
        append_key(out, key);
        out.push_back(':');
        append_json(out, item);
      }
      out.append(held.empty() ? "{}" : "}");
    }
  });
}

Result<Value> parse_json(json::Reader& reader, std::string_view text) {
  Builder builder;
  const std::size_t max_depth = Limits{}.depth;
  const auto enter = [&] {
    if (builder.depth() == max_depth) {
      reader.refuse("nested deeper than the limit of 16");
    } else if (reader.type() == json::Type::kObject) {
      reader.enter_object();
      builder.begin(Builder::Kind::kMap, Builder::kUntilEnd);
    } else {
      reader.enter_array();
      builder.begin(Builder::Kind::kArray, Builder::kUntilEnd);
    }
  };
  reader.open(text);
  if (reader.ok()) enter();
  while (reader.ok() && builder.depth() > 0) {
    if (builder.kind() == Builder::Kind::kMap) {
      if (!reader.next_member()) {
        if (reader.ok()) builder.add(map_or_bytes(reader, builder.close()));
        continue;
      }
      builder.add(reader.key());
    } else if (!reader.next_element()) {
      if (reader.ok()) builder.end();
      continue;
    }
    if (reader.type() == json::Type::kObject || reader.type() == json::Type::kArray)
      enter();
    else
      builder.add(take_scalar(reader));
  }
  if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
  return *std::move(builder.done());
}

}  // namespace fieldpipe::cbor
