// SPDX-License-Identifier: MIT
// TOML documents whose top level holds the settings of a tool.
#pragma once

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

}  // namespace fieldpipe::toml
