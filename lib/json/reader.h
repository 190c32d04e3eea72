// SPDX-License-Identifier: MIT
// Reading JSON texts (RFC 8259) of unknown origin, a value at a time and without a tree. The only place that knows
// simdjson, which is fast because it looks only at what it is asked for; this reader asks for everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fieldpipe::json {

// Arrays and objects inside one another, the outermost counted.
inline constexpr std::size_t kMaxDepth = 64;

// Bytes that simdjson may read behind a text, whatever they hold.
inline constexpr std::size_t kPaddingBytes = 64;

enum class Type : std::uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull };

// Name of a type with its article, for messages: `an object`.
std::string_view print_type(Type type);

// Walks one JSON text after another from left to right:
//
//   reader.open(line);
//   reader.enter_object();
//   while (reader.next_member()) {
//     if (reader.key() == "qos") qos = reader.integer();
//   }
//   if (auto walked = reader.finish(); !walked) return fail(std::move(walked));
//
// Failures stay: after the first one next_member() and next_element() return false and values are empty, so that one
// check at the end is enough. Values that are not taken are skipped, and checked as strictly as those that are: numbers
// and literals by the grammar, UTF-8, escapes (half a surrogate pair is none), brackets, depth. Members that repeat are
// seen as often as they occur; see once(). All views stay valid until the next open().
class Reader {
 public:
  Reader();
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  // Starts on a text, which must be an object or an array and must stay in place. It is copied into a buffer of the
  // reader unless `readable_bytes` (at least kPaddingBytes) behind it may be read. `max_depth` is at most kMaxDepth.
  void open(std::string_view text, std::size_t readable_bytes = 0, std::size_t max_depth = kMaxDepth);

  // Ends the walk: everything not yet seen is checked, also that nothing but white space follows the document. Fails
  // with kBadData and the offset in the text where it is known. simdjson does not tell it for a string that is not
  // closed or holds a raw control character.
  Result<void> finish();

  // False after the first failure.
  [[nodiscard]] bool ok() const;

  // Makes this the failure of the walk, at the place of the current value, if there is none yet. For what is valid
  // JSON but not what the caller can use.
  void refuse(std::string what);

  // refuse()s the current member when `seen` already holds, else sets it: for keys that may stand only once.
  void once(bool& seen);

  // Type of the current value; kNull after a failure.
  [[nodiscard]] Type type() const;

  // Goes into the current value, to its members or elements. Another type is a failure.
  void enter_object();
  void enter_array();

  // Goes to the next member or element of what was entered last; false when there are no more, which leaves it.
  bool next_member();
  bool next_element();

  // The key of the member that next_member() went to, without escapes.
  [[nodiscard]] std::string_view key() const;

  // Take the current value, each value once. Another type is a failure and gives an empty value.
  std::string_view string();                                        // without quotes and escapes
  std::int64_t integer();                                           // written without point and exponent
  std::uint64_t unsigned_integer(std::uint64_t most = UINT64_MAX);  // the same, without sign and not above `most`
  double number();  // the nearest double; a number beyond the range of doubles is a failure
  bool boolean();
  void skip();

  // Takes the current value, whatever it is, as it is written: `45.0`, `1e-09`, `{"a": "\u00e4"}`.
  std::string_view text();

  // Whether `text` is exactly one JSON value of at most `max_depth` without white space around it. Ends the walk of
  // what was open.
  bool is_value(std::string_view text, std::size_t max_depth = kMaxDepth);

 private:
  struct Walk;
  std::unique_ptr<Walk> walk_;
};

}  // namespace fieldpipe::json
