// SPDX-License-Identifier: MIT
// TOML documents: the settings of a tool at the top level, or a tree of tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fieldpipe::toml {

// `key = value`: the value as the text an option would be given on the command line. An array gives
// one text an element; an array of arrays one list of texts an inner array.
struct Setting {
  std::string key;
  std::vector<std::vector<std::string>> values;
  unsigned line = 0;
};

// Reads top-level settings: strings, integers, floats, booleans and arrays of them. Tables and dates
// are refused. Fails with kConfig and the line. At most 1 MiB.
Result<std::vector<Setting>> parse_settings(std::string_view text);

enum class Type : std::uint8_t { kString, kInteger, kFloat, kBoolean, kTime, kArray, kTable };

// Name of a type with its article, for messages: `an array`.
std::string_view print_type(Type type);

// Tables and arrays inside one another, the document counted.
inline constexpr std::size_t kMaxDepth = 16;

struct Member;

// A value and where it stands.
struct Value {
  Type type = Type::kTable;
  unsigned line = 1;
  std::string text;             // of a scalar but a time: as an option would be given on the command line
  std::vector<Value> elements;  // of an array
  std::vector<Member> members;  // of a table, in the order of the file
};

struct Member {
  std::string key;
  Value value;
};

// Reads a whole document. Fails with kConfig and the line. At most 1 MiB and kMaxDepth levels.
Result<Value> parse_document(std::string_view text);

}  // namespace fieldpipe::toml
