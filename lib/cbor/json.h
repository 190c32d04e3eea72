// SPDX-License-Identifier: MIT
// CBOR values as JSON texts, for people and for pipes.
#pragma once

#include <string>
#include <string_view>

#include "cbor/value.h"
#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::cbor {

// Appends `value` as JSON on one line: bytes as {"$bytes":"0aff"}, integer keys as strings; undefined and what is no
// finite number as null. Bytes of a text that are not UTF-8 come out as U+FFFD.
void append_json(std::string& out, const Value& value);

// The value of a JSON text, an object or an array at most 16 deep: numbers without point and exponent are integers,
// {"$bytes":"0aff"} are bytes, keys stay texts. `reader` is working memory. Fails with kBadData and the offset where it
// is known.
Result<Value> parse_json(json::Reader& reader, std::string_view text);

}  // namespace fieldpipe::cbor
