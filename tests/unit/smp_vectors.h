// SPDX-License-Identifier: MIT
// What the SMP tests share: their vectors, and packets as they have them.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cbor/value.h"
#include "smp/packet.h"
#include "vectors.h"

namespace fieldpipe::smp {

using Json = nlohmann::ordered_json;

// The lines of tests/vectors/smp/`name`.
inline std::vector<Json> read_vectors(const std::string& name) { return read_vector_lines<Json>("smp/" + name); }

// A string of a vector, one character a byte.
inline std::string latin1(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out.push_back(text[i]);
    } else {
      out.push_back(static_cast<char>((c & 3U) << 6U | (static_cast<unsigned char>(text[++i]) & 0x3FU)));
    }
  }
  return out;
}

// A payload of a vector: bytes are {"$hex": "..."}.
inline cbor::Value to_value(const Json& json) {
  switch (json.type()) {
    case Json::value_t::object: {
      if (json.contains("$hex")) return cbor::ByteString{from_hex(json["$hex"].get<std::string>())};
      cbor::Value::Map map;
      for (const auto& [key, value] : json.items()) map.emplace_back(key, to_value(value));
      return map;
    }
    case Json::value_t::array: {
      cbor::Value::Array array;
      for (const Json& item : json) array.push_back(to_value(item));
      return array;
    }
    case Json::value_t::string: return json.get<std::string>();
    case Json::value_t::boolean: return json.get<bool>();
    case Json::value_t::number_unsigned: return json.get<std::uint64_t>();
    case Json::value_t::number_integer: return json.get<std::int64_t>();
    default: return nullptr;
  }
}

// The header of a vector; `length` may be missing.
inline Header to_header(const Json& json) {
  return Header{.op = static_cast<Op>(json["op"].get<int>()),
                .version = static_cast<Version>(json["version"].get<int>()),
                .flags = json.value("flags", std::uint8_t{0}),
                .length = json.value("length", std::uint16_t{0}),
                .group = static_cast<Group>(json["group"].get<int>()),
                .sequence = json["seq"].get<std::uint8_t>(),
                .command = json["id"].get<std::uint8_t>()};
}

}  // namespace fieldpipe::smp
