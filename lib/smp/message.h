// SPDX-License-Identifier: MIT
// What all groups share: payloads as CBOR maps, and structs that name their keys once for reading, writing and
// printing.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cbor/codec.h"
#include "cbor/json.h"
#include "cbor/value.h"
#include "core/bytes.h"
#include "core/result.h"
#include "core/text.h"
#include "json/writer.h"
#include "smp/error.h"
#include "smp/packet.h"

namespace fieldpipe::smp {

using cbor::ByteString;

// What one request asks for; the header without what changes from request to request.
struct Command {
  Group group = Group::kOs;
  std::uint8_t id = 0;
  Op op = Op::kRead;

  bool operator==(const Command&) const = default;
};

// Members of a map whose keys are names that a device made up.
template <typename T>
using Named = std::vector<std::pair<std::string, T>>;

// A message is a struct with
//
//   template <typename Self, typename Fields>
//   static void fields(Self& self, Fields& f) {
//     f("name", self.name);            // must be there; a std::optional may be missing
//     f.lenient("active", self.on);    // may be missing, which leaves the default; is always written
//     f.sparse("force", self.force);   // may be missing; is written only where it is not the default
//   }
//
// in the order in which the keys are written. Keys that are not named are ignored: hooks add some.
struct AnyFields {
  template <typename T>
  void operator()(std::string_view, T&) {}
  template <typename T>
  void lenient(std::string_view, T&) {}
  template <typename T>
  void sparse(std::string_view, T&) {}
  template <typename T>
  void members(Named<T>&) {}
};
template <typename T>
concept Message = requires(T& message, AnyFields& fields) { T::fields(message, fields); };

// A request or response without keys.
struct Nothing {
  template <typename Self, typename Fields>
  static void fields(Self&, Fields&) {}
};

// A request for what has this name.
struct ByName {
  std::string name;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("name", self.name);
  }
};

// The map of a payload. Fails with kBadData where it is not exactly one map, or a key stands twice in any map of it.
Result<cbor::Value> decode_payload(Bytes payload);

// The failure that a response reports, if it reports one. `rc` 0 is success, as MCUboot's recovery sends it; so is the
// `rc` of an old shell, where it is the status of the command. Fails with kBadData for what is neither.
Result<std::optional<DeviceError>> find_error(const cbor::Value& payload, Group group);

// Bytes of data that fit into a map which has `empty_bytes` with none, within `limit_bytes`.
std::size_t data_room(std::size_t empty_bytes, std::size_t limit_bytes);

// Appends the payload of a message. Clients give lengths, devices do not (see cbor::Lengths).
template <Message T>
void encode(std::string& out, const T& message, cbor::Lengths lengths = cbor::Lengths::kDefinite);

// The message in a payload. Fails with kBadData and names the key.
template <Message T>
Result<T> decode(const cbor::Value& payload);

// Appends a message as a JSON object: keys as on the wire, bytes in hex, what is missing left out or as its default.
template <Message T>
void append_json(std::string& out, const T& message);

namespace message {

template <typename T>
inline constexpr bool kIsNamed = false;
template <typename T>
inline constexpr bool kIsNamed<Named<T>> = true;
template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = !kIsNamed<std::vector<T>>;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

tl::unexpected<Error> wrong_type(std::string_view wanted);

// Recursion in this file follows the types, not the input.

struct Writer {
  cbor::Value::Map map;

  template <typename T>
  static cbor::Value value_of(const T& from) {
    if constexpr (kIsNamed<T>) {
      cbor::Value::Map members;
      for (const auto& [name, member] : from) members.emplace_back(name, value_of(member));
      return members;
    } else if constexpr (kIsList<T>) {
      cbor::Value::Array items;
      for (const auto& item : from) items.push_back(value_of(item));
      return items;
    } else if constexpr (Message<T>) {
      Writer writer;
      T::fields(from, writer);
      return std::move(writer.map);
    } else {
      return from;
    }
  }

  template <typename T>
  void operator()(std::string_view key, const T& from) {
    if constexpr (kIsOptional<T>) {
      if (from) (*this)(key, *from);
    } else {
      map.emplace_back(key, value_of(from));
    }
  }
  template <typename T>
  void lenient(std::string_view key, const T& from) {
    (*this)(key, from);
  }
  template <typename T>
  void sparse(std::string_view key, const T& from) {
    if (from != T{}) (*this)(key, from);
  }
  template <typename T>
  void members(const Named<T>& from) {
    for (const auto& [name, member] : from) (*this)(name, member);
  }
};

struct Reader {
  const cbor::Value& map;
  Result<void> result;

  template <typename T>
  static Result<void> read(const cbor::Value& value, T& to) {
    if constexpr (std::same_as<T, bool>) {
      if (const auto boolean = value.boolean()) return to = *boolean, Result<void>();
      return wrong_type("a boolean");
    } else if constexpr (std::unsigned_integral<T>) {
      if (const auto number = value.unsigned_integer(); number && std::in_range<T>(*number)) {
        return to = static_cast<T>(*number), Result<void>();
      }
      return wrong_type("a whole number from 0 within its range");
    } else if constexpr (std::signed_integral<T>) {
      if (const auto number = value.signed_integer(); number && std::in_range<T>(*number)) {
        return to = static_cast<T>(*number), Result<void>();
      }
      return wrong_type("a whole number within its range");
    } else if constexpr (std::same_as<T, std::string>) {
      if (const auto* text = value.text()) return to = *text, Result<void>();
      return wrong_type("a text");
    } else if constexpr (std::same_as<T, ByteString>) {
      if (const auto* bytes = value.bytes()) return to.bytes = *bytes, Result<void>();
      return wrong_type("a byte string");
    } else if constexpr (std::same_as<T, cbor::Value>) {
      return to = value, Result<void>();
    } else if constexpr (kIsNamed<T>) {
      if (value.map() == nullptr) return wrong_type("a map");
      return read_members(value, to, {});
    } else if constexpr (kIsList<T>) {
      if (value.array() == nullptr) return wrong_type("a list");
      for (const cbor::Value& item : *value.array()) {
        if (auto done = read(item, to.emplace_back()); !done) {
          return tl::make_unexpected(std::move(done).error().in(fmt::format("{}", to.size() - 1)));
        }
      }
      return {};
    } else {
      static_assert(Message<T>);
      if (value.map() == nullptr) return wrong_type("a map");
      Reader reader{value, {}};
      T::fields(to, reader);
      return std::move(reader.result);
    }
  }

  template <typename T>
  static Result<void> read_members(const cbor::Value& from, Named<T>& to, std::string_view except) {
    for (const auto& [key, member] : *from.map()) {
      const std::string* const name = key.text();
      if (name == nullptr || (!except.empty() && *name == except)) continue;
      to.emplace_back(*name, T{});
      if (auto done = read(member, to.back().second); !done) {
        return tl::make_unexpected(std::move(done).error().in(printable(*name)));
      }
    }
    return {};
  }

  void take(std::string_view key, const cbor::Value* value, auto& to) {
    if (!result || value == nullptr) return;
    if (auto done = read(*value, to); !done) result = tl::make_unexpected(std::move(done).error().in(key));
  }

  template <typename T>
  void operator()(std::string_view key, T& to) {
    const cbor::Value* const value = map.find(key);
    if constexpr (kIsOptional<T>) {
      if (value != nullptr) take(key, value, to.emplace());
    } else {
      if (value == nullptr && result) result = fail(ErrorCode::kBadData, fmt::format("{} is missing", key));
      take(key, value, to);
    }
  }
  template <typename T>
  void lenient(std::string_view key, T& to) {
    take(key, map.find(key), to);
  }
  template <typename T>
  void sparse(std::string_view key, T& to) {
    take(key, map.find(key), to);
  }
  // All members of this map, but for the status that some servers send with each success.
  template <typename T>
  void members(Named<T>& to) {
    if (result) result = read_members(map, to, "rc");
  }
};

struct Printer {
  std::string& out;
  char before = '{';

  template <typename T>
  static void print(std::string& out, const T& from) {
    if constexpr (std::same_as<T, bool>) {
      json::append_bool(out, from);
    } else if constexpr (std::integral<T>) {
      json::append_integer(out, from);
    } else if constexpr (std::same_as<T, std::string>) {
      json::append_string(out, from);
    } else if constexpr (std::same_as<T, ByteString>) {
      out.push_back('"');
      append_hex(out, as_bytes(from.bytes));
      out.push_back('"');
    } else if constexpr (std::same_as<T, cbor::Value>) {
      if (const auto* bytes = from.bytes()) {
        print(out, ByteString{*bytes});
      } else {
        cbor::append_json(out, from);
      }
    } else if constexpr (kIsNamed<T>) {
      Printer printer{out};
      printer.members(from);
      printer.end();
    } else if constexpr (kIsList<T>) {
      char before = '[';
      for (const auto& item : from) {
        out.push_back(std::exchange(before, ','));
        print(out, item);
      }
      out.append(from.empty() ? "[]" : "]");
    } else {
      static_assert(Message<T>);
      Printer printer{out};
      T::fields(from, printer);
      printer.end();
    }
  }

  template <typename T>
  void operator()(std::string_view key, const T& from) {
    if constexpr (kIsOptional<T>) {
      if (from) (*this)(key, *from);
    } else {
      out.push_back(std::exchange(before, ','));
      json::append_string(out, key);
      out.push_back(':');
      print(out, from);
    }
  }
  template <typename T>
  void lenient(std::string_view key, const T& from) {
    (*this)(key, from);
  }
  template <typename T>
  void sparse(std::string_view key, const T& from) {
    (*this)(key, from);
  }
  template <typename T>
  void members(const Named<T>& from) {
    for (const auto& [name, member] : from) (*this)(name, member);
  }
  void end() { out.append(before == '{' ? "{}" : "}"); }
};

}  // namespace message

template <Message T>
void encode(std::string& out, const T& message, cbor::Lengths lengths) {
  cbor::encode(out, message::Writer::value_of(message), lengths);
}

template <Message T>
Result<T> decode(const cbor::Value& payload) {
  T message;
  if (auto read = message::Reader::read(payload, message); !read) return fail(std::move(read));
  return message;
}

template <Message T>
void append_json(std::string& out, const T& message) {
  message::Printer::print(out, message);
}

}  // namespace fieldpipe::smp
