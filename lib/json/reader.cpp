// SPDX-License-Identifier: MIT
#include "json/reader.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "core/text.h"

namespace fieldpipe::json {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(kPaddingBytes >= simdjson::SIMDJSON_PADDING);

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_space_behind(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The grammar of RFC 8259 section 6; the range of no number type plays a part.
bool is_number(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto take_digits = [&] {
    const char* const start = at;
    while (at != end && is_digit(*at)) ++at;
    return at - start;
  };
  if (at != end && *at == '-') ++at;
  const char* const whole = at;
  const auto whole_digits = take_digits();
  if (whole_digits == 0 || (whole_digits > 1 && *whole == '0')) return false;
  if (at != end && *at == '.') {
    ++at;
    if (take_digits() == 0) return false;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    if (take_digits() == 0) return false;
  }
  return at == end;
}

std::optional<Type> type_of(char first) {
  switch (first) {
    case '{': return Type::kObject;
    case '[': return Type::kArray;
    case '"': return Type::kString;
    case 't': return Type::kTrue;
    case 'f': return Type::kFalse;
    case 'n': return Type::kNull;
    default: return first == '-' || is_digit(first) ? std::optional(Type::kNumber) : std::nullopt;
  }
}

// Whether `token` is what its first character promises, for the types that have neither content nor quotes.
bool is_plain(Type type, std::string_view token) {
  switch (type) {
    case Type::kNumber: return is_number(token);
    case Type::kTrue: return token == "true";
    case Type::kFalse: return token == "false";
    case Type::kNull: return token == "null";
    default: return false;
  }
}

// Characters up to the quote that ends the string which starts behind `from`, with the quote. simdjson has seen that
// there is one before it hands out any value.
struct StringEnd {
  std::size_t size;
  bool escapes;
};
StringEnd find_string_end(const char* from) {
  bool escapes = false;
  for (const char* p = from;; ++p) {
    if (*p == '"') return {static_cast<std::size_t>(p - from) + 1, escapes};
    if (*p == '\\') {
      escapes = true;
      ++p;
    }
  }
}

}  // namespace

std::string_view print_type(Type type) {
  switch (type) {
    case Type::kObject: return "an object";
    case Type::kArray: return "an array";
    case Type::kString: return "a string";
    case Type::kNumber: return "a number";
    case Type::kTrue: return "true";
    case Type::kFalse: return "false";
    case Type::kNull: return "null";
  }
  return {};
}

struct Reader::Walk {
  struct Level {
    bool is_object;
    bool started;
    ondemand::object_iterator members;
    ondemand::array_iterator elements;
    std::string_view key;
  };

  ondemand::parser parser;
  std::string buffer;  // the text with padding, when the caller's has none
  std::string_view text;
  ondemand::document document;
  std::optional<Error> failure;

  std::array<Level, kMaxDepth> levels;
  std::size_t depth = 0;
  std::size_t max_depth = kMaxDepth;

  ondemand::value value;  // the current one
  bool pending = false;   // and whether it was not taken yet
  Type type = Type::kNull;
  std::string_view token;  // where it starts; of a number or literal all of it

  Level& top() { return levels[depth - 1]; }

  void fail(const char* where, std::string what) {
    if (failure) return;
    failure = Error{ErrorCode::kBadData, std::move(what), {}, std::nullopt};
    if (where != nullptr && where >= text.data() && where <= text.data() + text.size()) {
      failure->offset = static_cast<std::uint64_t>(where - text.data());
    }
  }

  // A failure of the current value, with the key that it belongs to.
  void fail_value(std::string what) {
    if (depth > 0 && top().is_object && !top().key.empty()) what = fmt::format("{}: {}", printable(top().key), what);
    fail(token.data(), std::move(what));
  }

  void fail_syntax(simdjson::error_code error) {
    const char* const end = text.data() + text.size();
    const char* where = nullptr;
    if (error == simdjson::INCOMPLETE_ARRAY_OR_OBJECT) {
      return fail(end, "JSON text without its end, or with more behind it");
    }
    if (document.current_location().get(where) || where >= end) return fail(end, "JSON text without its end");
    fail(where, "not JSON");
  }

  bool begin(std::string_view from, std::size_t readable_bytes) {
    failure.reset();
    depth = 0;
    pending = false;
    type = Type::kNull;
    token = {};
    text = from;
    if (readable_bytes < kPaddingBytes) {
      buffer.reserve(from.size() + kPaddingBytes);
      buffer.assign(from);
      text = buffer;
    }
    const auto error = parser.iterate(text.data(), text.size(), text.size() + kPaddingBytes).get(document);
    switch (error) {
      case simdjson::SUCCESS: return true;
      case simdjson::EMPTY: fail(nullptr, "no JSON text"); break;
      case simdjson::UTF8_ERROR:
        fail(text.data() + find_invalid_utf8(text).value_or(text.size()), "JSON text is not UTF-8");
        break;
      case simdjson::UNCLOSED_STRING: fail(nullptr, "JSON string without an end"); break;
      case simdjson::UNESCAPED_CHARS: fail(nullptr, "control character in a JSON string"); break;
      default: fail(nullptr, fmt::format("not JSON: {}", simdjson::error_message(error)));
    }
    return false;
  }

  bool set(simdjson::simdjson_result<ondemand::value> from) {
    if (const auto error = from.get(value)) {
      fail_syntax(error);
      return false;
    }
    token = value.raw_json_token();
    const auto found = type_of(token.front());
    if (!found) {
      fail(token.data(), "not JSON: no value where one must be");
      return false;
    }
    type = *found;
    pending = true;
    return true;
  }

  // Says so when the current value is not of type `wanted`, or was taken already, which is a bug of the caller.
  bool expect(Type wanted, std::string_view name) {
    if (failure) return false;
    if (type != wanted || !pending) {
      fail_value(fmt::format("must be {}, is {}", name, print_type(type)));
      return false;
    }
    return true;
  }

  void enter(Type wanted) {
    if (!expect(wanted, print_type(wanted))) return;
    if (depth == max_depth) return fail(token.data(), fmt::format("JSON deeper than {} levels", max_depth));
    Level& level = levels[depth];
    level.is_object = wanted == Type::kObject;
    level.started = false;
    level.key = {};
    // The document's own functions also see that the last bracket closes the first one, which keeps all later steps
    // inside the text.
    const auto error = level.is_object
                           ? (depth == 0 ? document.get_object() : value.get_object()).begin().get(level.members)
                           : (depth == 0 ? document.get_array() : value.get_array()).begin().get(level.elements);
    if (error) return fail_syntax(error);
    ++depth;
    pending = false;
  }

  bool take_key(ondemand::field& field) {
    const char* const start = field.key().raw();
    const StringEnd end = find_string_end(start);
    token = {start - 1, end.size + 1};
    Level& level = top();
    level.key = {start, end.size - 1};
    return !end.escapes || unescape(field.unescaped_key(), level.key);
  }

  bool unescape(simdjson::simdjson_result<std::string_view> from, std::string_view& to) {
    std::string_view unescaped;
    // simdjson lets the second half of a surrogate pair stand alone, which is no UTF-8 then.
    if (std::move(from).get(unescaped) || find_invalid_utf8(unescaped)) {
      fail(token.data(), "not JSON: bad escape in a string");
      return false;
    }
    to = unescaped;
    return true;
  }

  // Takes a string; gives it without escapes and, for text(), as it is written.
  bool take_string(std::string_view& content, std::string_view& written) {
    const StringEnd end = find_string_end(token.data() + 1);
    written = token.substr(0, end.size + 1);
    pending = false;
    if (end.escapes) return unescape(value.get_string(), content);
    // Left to itself, the iterator would take a string before a colon for a key.
    if (const auto error = value.get_raw_json_string().error()) {
      fail_syntax(error);
      return false;
    }
    content = written.substr(1, written.size() - 2);
    return true;
  }

  // Takes a number or literal and gives all of it.
  std::string_view take_plain() {
    token = without_space_behind(token);
    if (!is_plain(type, token)) {
      fail(token.data(), fmt::format("not JSON: '{}'", printable(token, 40)));
      return {};
    }
    pending = false;
    return token;
  }
};

Reader::Reader() : walk_(std::make_unique<Walk>()) {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;

void Reader::open(std::string_view text, std::size_t readable_bytes, std::size_t max_depth) {
  Walk& walk = *walk_;
  walk.max_depth = max_depth;
  if (!walk.begin(text, readable_bytes)) return;
  walk.token = walk.text;
  while (is_space(walk.token.front())) walk.token.remove_prefix(1);
  const auto type = type_of(walk.token.front());
  if (type != Type::kObject && type != Type::kArray) {
    return walk.fail(walk.token.data(), "JSON text must be an object or an array");
  }
  walk.type = *type;
  walk.pending = true;
}

Result<void> Reader::finish() {
  Walk& walk = *walk_;
  if (walk.depth == 0 && walk.pending) skip();
  while (!walk.failure && walk.depth > 0) {
    if (walk.top().is_object) {
      next_member();
    } else {
      next_element();
    }
  }
  if (!walk.failure) {
    const char* more = nullptr;
    if (walk.document.current_location().get(more) == simdjson::SUCCESS) {
      walk.fail(more, "more behind the end of the JSON text");
    }
  }
  if (walk.failure) return tl::make_unexpected(*walk.failure);
  return {};
}

bool Reader::ok() const { return !walk_->failure.has_value(); }

void Reader::refuse(std::string what) { walk_->fail_value(std::move(what)); }

void Reader::once(bool& seen) {
  if (seen) refuse("key stands twice");
  seen = true;
}

Type Reader::type() const { return walk_->failure ? Type::kNull : walk_->type; }

void Reader::enter_object() { walk_->enter(Type::kObject); }

void Reader::enter_array() { walk_->enter(Type::kArray); }

bool Reader::next_member() {
  Walk& walk = *walk_;
  if (!walk.failure && walk.pending) skip();
  if (walk.failure || walk.depth == 0) return false;
  Walk::Level& level = walk.top();
  if (level.started) ++level.members;
  level.started = true;
  if (level.members == ondemand::object_iterator{}) {
    --walk.depth;
    return false;
  }
  ondemand::field field;
  if (const auto error = (*level.members).get(field)) {
    walk.fail_syntax(error);
    return false;
  }
  return walk.take_key(field) && walk.set(std::move(field.value()));
}

bool Reader::next_element() {
  Walk& walk = *walk_;
  if (!walk.failure && walk.pending) skip();
  if (walk.failure || walk.depth == 0) return false;
  Walk::Level& level = walk.top();
  if (level.started) ++level.elements;
  level.started = true;
  if (level.elements == ondemand::array_iterator{}) {
    --walk.depth;
    return false;
  }
  return walk.set(*level.elements);
}

std::string_view Reader::key() const { return walk_->depth > 0 ? walk_->top().key : std::string_view{}; }

std::string_view Reader::string() {
  std::string_view content;
  std::string_view written;
  if (!walk_->expect(Type::kString, "a string") || !walk_->take_string(content, written)) return {};
  return content;
}

std::int64_t Reader::integer() {
  if (!walk_->expect(Type::kNumber, "an integer")) return 0;
  const std::string_view written = walk_->take_plain();
  if (walk_->failure) return 0;
  const auto value = parse_integer<std::int64_t>(written);
  if (!value) refuse(fmt::format("must be an integer of 64 bits, is {}", printable(written, 40)));
  return value.value_or(0);
}

std::uint64_t Reader::unsigned_integer(std::uint64_t most) {
  if (!walk_->expect(Type::kNumber, "an integer")) return 0;
  const std::string_view written = walk_->take_plain();
  if (walk_->failure) return 0;
  const auto value = parse_integer<std::uint64_t>(written);
  if (value && *value <= most) return *value;
  refuse(fmt::format("must be an integer from 0 to {}, is {}", most, printable(written, 40)));
  return 0;
}

double Reader::number() {
  if (!walk_->expect(Type::kNumber, "a number")) return 0;
  const std::string_view written = walk_->take_plain();
  if (walk_->failure) return 0;
  double value = 0;
  if (std::from_chars(written.data(), written.data() + written.size(), value).ec != std::errc{}) {
    refuse(fmt::format("{} is beyond the range of a double", printable(written, 40)));
  }
  return value;
}

bool Reader::boolean() {
  const bool is_true = walk_->type == Type::kTrue;
  if (!walk_->expect(is_true ? Type::kTrue : Type::kFalse, "true or false")) return false;
  walk_->take_plain();
  return is_true && ok();
}

void Reader::skip() {
  Walk& walk = *walk_;
  if (walk.failure || !walk.pending) return;
  std::string_view content;
  std::string_view written;
  switch (walk.type) {
    case Type::kObject:
      enter_object();
      while (next_member()) continue;
      break;
    case Type::kArray:
      enter_array();
      while (next_element()) continue;
      break;
    case Type::kString: walk.take_string(content, written); break;
    default: walk.take_plain();
  }
}

std::string_view Reader::text() {
  Walk& walk = *walk_;
  if (walk.failure || !walk.pending) return {};
  if (walk.type == Type::kString) {
    std::string_view content;
    std::string_view written;
    return walk.take_string(content, written) ? written : std::string_view{};
  }
  if (walk.type != Type::kObject && walk.type != Type::kArray) return walk.take_plain();
  const char* const start = walk.token.data();
  skip();
  if (walk.failure) return {};
  const char* end = nullptr;
  if (walk.document.current_location().get(end) != simdjson::SUCCESS) end = walk.text.data() + walk.text.size();
  return without_space_behind({start, end});
}

bool Reader::is_value(std::string_view text, std::size_t max_depth) {
  if (text.empty()) return false;
  const auto type = type_of(text.front());
  if (!type || is_space(text.back())) return false;
  if (*type == Type::kObject || *type == Type::kArray) {
    open(text, 0, max_depth);
    return finish().has_value();
  }
  if (*type != Type::kString) return is_plain(*type, text);
  // As the only element of an array a string is checked like any other.
  std::string wrapped;
  wrapped.reserve(text.size() + 2);
  wrapped.append("[").append(text).append("]");
  open(wrapped);
  enter_array();
  const bool only = next_element() && this->text() == text && !next_element();
  return only && finish().has_value();
}

}  // namespace fieldpipe::json
