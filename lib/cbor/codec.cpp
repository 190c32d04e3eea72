// SPDX-License-Identifier: MIT
#include "cbor/codec.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <cbor.h>
#include <fmt/format.h>

#include "cbor/builder.h"

namespace fieldpipe::cbor {
namespace {

enum class Major : std::uint8_t { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };

// One token as libcbor reports it.
struct Token {
  enum class Kind : std::uint8_t { kItem, kString, kStringStart, kContainer, kTag, kBreak, kTooNegative };
  Kind kind = Kind::kItem;
  Value item;                   // kItem
  Major major = Major::kBytes;  // kString, kStringStart, kContainer
  std::string_view string;      // kString
  std::uint64_t count = 0;      // kContainer; Builder::kUntilEnd when indefinite
};

Token& token(void* context) { return *static_cast<Token*>(context); }

template <typename T>
void take_item(void* context, T value) {
  token(context).item = Value(value);
}

void take_float(void* context, float value) { token(context).item = Value(static_cast<double>(value)); }

template <typename T>
void take_negative(void* context, T value) {
  if (std::uint64_t{value} > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    token(context).kind = Token::Kind::kTooNegative;
  else
    token(context).item = Value(-1 - static_cast<std::int64_t>(value));
}

template <Major major>
void take_string(void* context, cbor_data data, std::size_t size) {
  token(context).kind = Token::Kind::kString;
  token(context).major = major;
  token(context).string = {reinterpret_cast<const char*>(data), size};
}

template <Major major>
void start_string(void* context) {
  token(context).kind = Token::Kind::kStringStart;
  token(context).major = major;
}

template <Major major>
void start_container(void* context, std::size_t count) {
  token(context).kind = Token::Kind::kContainer;
  token(context).major = major;
  token(context).count = count;
}

template <Major major>
void start_definite(void* context, std::size_t count) {
  start_container<major>(context, std::min<std::uint64_t>(count, Builder::kUntilEnd - 1));
}

template <Major major>
void start_indefinite(void* context) {
  start_container<major>(context, Builder::kUntilEnd);
}

constexpr cbor_callbacks kCallbacks = {
    .uint8 = take_item<std::uint8_t>,
    .uint16 = take_item<std::uint16_t>,
    .uint32 = take_item<std::uint32_t>,
    .uint64 = take_item<std::uint64_t>,
    .negint64 = take_negative<std::uint64_t>,
    .negint32 = take_negative<std::uint32_t>,
    .negint16 = take_negative<std::uint16_t>,
    .negint8 = take_negative<std::uint8_t>,
    .byte_string_start = start_string<Major::kBytes>,
    .byte_string = take_string<Major::kBytes>,
    .string = take_string<Major::kText>,
    .string_start = start_string<Major::kText>,
    .indef_array_start = start_indefinite<Major::kArray>,
    .array_start = start_definite<Major::kArray>,
    .indef_map_start = start_indefinite<Major::kMap>,
    .map_start = start_definite<Major::kMap>,
    .tag = [](void* context, std::uint64_t) { token(context).kind = Token::Kind::kTag; },
    .float2 = take_float,
    .float4 = take_float,
    .float8 = take_item<double>,
    .undefined = [](void* context) { token(context).item = Value(Undefined{}); },
    .null = [](void* context) { token(context).item = Value(); },
    .boolean = take_item<bool>,
    .indef_break = [](void* context) { token(context).kind = Token::Kind::kBreak; },
};

Value string_value(Major major, std::string string) {
  return major == Major::kText ? Value(std::move(string)) : Value(ByteString{std::move(string)});
}

// The walk over one item.
class Decoder {
 public:
  Decoder(Bytes bytes, const Limits& limits) : bytes_(bytes), limits_(limits) {}

  // Fails with the offset of the token that is no good. The end of the bytes is no failure here: see missing_bytes().
  Result<Prefix> run() {
    while (!builder_.done()) {
      Token found;
      const auto result = cbor_stream_decode(reinterpret_cast<cbor_data>(bytes_.data()) + at_, bytes_.size() - at_,
                                             &kCallbacks, &found);
      if (result.status == CBOR_DECODER_NEDATA) return cut();
      if (result.status != CBOR_DECODER_FINISHED)
        return fail_at(at_, ErrorCode::kBadData,
                       fmt::format("byte {:#04x} does not begin a CBOR item", std::to_integer<unsigned>(bytes_[at_])));
      if (++items_ > limits_.items)
        return fail_at(at_, ErrorCode::kBadData, fmt::format("more CBOR items than the limit of {}", limits_.items));
      if (auto taken = take(std::move(found)); !taken) return fail(std::move(taken));
      at_ += result.read;
    }
    return Prefix{*std::move(builder_.done()), at_, true};
  }

 private:
  using Kind = Token::Kind;

  [[nodiscard]] tl::unexpected<Error> refuse(std::string_view what) const {
    return fail_at(at_, ErrorCode::kBadData, std::string(what));
  }

  // Closes what is open.
  Prefix cut() {
    if (string_) finish_string();
    while (builder_.depth() > 0) builder_.end();
    return {builder_.done() ? *std::move(builder_.done()) : Value(), at_, false};
  }

  void finish_string() {
    builder_.add(string_value(string_major_, *std::move(string_)));
    string_.reset();
  }

  Result<void> take(Token found) {
    if (string_) return take_piece(found);
    if (found.kind == Kind::kBreak) return take_break();
    if (found.kind == Kind::kTag) {
      tagged_ = true;
      return {};
    }
    tagged_ = false;
    if (builder_.depth() > 0 && builder_.at_key() && !may_be_key(found))
      return refuse("a map key is neither an integer nor a text");
    switch (found.kind) {
      case Kind::kItem: builder_.add(std::move(found.item)); return {};
      case Kind::kString: builder_.add(string_value(found.major, std::string(found.string))); return {};
      case Kind::kStringStart:
        string_major_ = found.major;
        string_.emplace();
        return {};
      case Kind::kContainer:
        if (builder_.depth() == limits_.depth)
          return refuse(fmt::format("CBOR nested deeper than the limit of {}", limits_.depth));
        builder_.begin(found.major == Major::kMap ? Builder::Kind::kMap : Builder::Kind::kArray, found.count);
        return {};
      default: return refuse("an integer below -2^63");
    }
  }

  // Inside an indefinite string: a piece of it or its end.
  Result<void> take_piece(const Token& found) {
    if (found.kind == Kind::kBreak) {
      finish_string();
      return {};
    }
    if (found.kind != Kind::kString || found.major != string_major_)
      return refuse("a piece of an indefinite string is no string of its type");
    string_->append(found.string);
    return {};
  }

  Result<void> take_break() {
    if (tagged_ || builder_.depth() == 0 || !builder_.until_end() ||
        (builder_.kind() == Builder::Kind::kMap && !builder_.at_key()))
      return refuse("a break where no array or map can end");
    builder_.end();
    return {};
  }

  static bool may_be_key(const Token& found) {
    if (found.kind == Kind::kItem) return found.item.unsigned_integer() || found.item.signed_integer();
    return (found.kind == Kind::kString || found.kind == Kind::kStringStart) && found.major == Major::kText;
  }

  Bytes bytes_;
  const Limits& limits_;
  std::size_t at_ = 0;
  std::size_t items_ = 0;
  bool tagged_ = false;                // a tag waits for its content
  std::optional<std::string> string_;  // the pieces of an indefinite string that is not yet ended
  Major string_major_ = Major::kBytes;
  Builder builder_;
};

void append_head(std::string& out, Major major, std::uint64_t argument) {
  const auto first = static_cast<unsigned>(major) << 5U;
  const auto append = [&](unsigned information, auto number) {
    out.push_back(static_cast<char>(first | information));
    std::byte bytes[sizeof number];
    store_be(number, bytes);
    out.append(as_text(bytes));
  };
  if (argument < 24)
    out.push_back(static_cast<char>(first | argument));
  else if (argument <= 0xFF)
    append(24, static_cast<std::uint8_t>(argument));
  else if (argument <= 0xFFFF)
    append(25, static_cast<std::uint16_t>(argument));
  else if (argument <= 0xFFFF'FFFF)
    append(26, static_cast<std::uint32_t>(argument));
  else
    append(27, argument);
}

}  // namespace

Result<Prefix> decode_prefix(Bytes bytes, const Limits& limits) { return Decoder(bytes, limits).run(); }

Result<Value> decode(Bytes bytes, const Limits& limits) {
  auto prefix = decode_prefix(bytes, limits);
  if (!prefix) return fail(std::move(prefix));
  if (!prefix->complete) return fail_at(prefix->used_bytes, ErrorCode::kBadData, "CBOR ends in the middle of an item");
  if (prefix->used_bytes != bytes.size())
    return fail_at(prefix->used_bytes, ErrorCode::kBadData,
                   fmt::format("{} bytes behind the CBOR item", bytes.size() - prefix->used_bytes));
  return std::move(prefix->value);
}

namespace {

// The head of an array or map; with kIndefinite the mark kBreak goes behind its items.
constexpr char kBreak = '\xFF';
void append_start(std::string& out, Major major, std::size_t count, Lengths lengths) {
  constexpr unsigned kIndefinite = 31;
  if (lengths == Lengths::kDefinite) return append_head(out, major, count);
  out.push_back(static_cast<char>(static_cast<unsigned>(major) << 5U | kIndefinite));
}

}  // namespace

// Recursion: values are as deep as those who make them allow, which are the decoders here and our own code.
void encode(std::string& out, const Value& value, Lengths lengths) {
  value.visit([&](const auto& held) {
    using T = std::remove_cvref_t<decltype(held)>;
    constexpr unsigned kFalse = 20;
    constexpr unsigned kNull = 22;
    constexpr unsigned kUndefined = 23;
    if constexpr (std::is_same_v<T, std::monostate>) {
      append_head(out, Major::kSimple, kNull);
    } else if constexpr (std::is_same_v<T, Undefined>) {
      append_head(out, Major::kSimple, kUndefined);
    } else if constexpr (std::is_same_v<T, bool>) {
      append_head(out, Major::kSimple, kFalse + (held ? 1U : 0U));
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
      append_head(out, Major::kUnsigned, held);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      append_head(out, Major::kNegative, static_cast<std::uint64_t>(-1 - held));
    } else if constexpr (std::is_same_v<T, double>) {
      std::byte bytes[sizeof held];
      store_be(std::bit_cast<std::uint64_t>(held), bytes);
      out.push_back('\xFB');
      out.append(as_text(bytes));
    } else if constexpr (std::is_same_v<T, std::string>) {
      append_head(out, Major::kText, held.size());
      out.append(held);
    } else if constexpr (std::is_same_v<T, ByteString>) {
      append_head(out, Major::kBytes, held.bytes.size());
      out.append(held.bytes);
    } else if constexpr (std::is_same_v<T, Value::Array>) {
      append_start(out, Major::kArray, held.size(), lengths);
      for (const Value& item : held) encode(out, item, lengths);
      if (lengths == Lengths::kIndefinite) out.push_back(kBreak);
    } else {
      append_start(out, Major::kMap, held.size(), lengths);
      for (const auto& [key, item] : held) {
        encode(out, key, lengths);
        encode(out, item, lengths);
      }
      if (lengths == Lengths::kIndefinite) out.push_back(kBreak);
    }
  });
}

}  // namespace fieldpipe::cbor
