// SPDX-License-Identifier: MIT
#include "subscriber/format.h"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/text.h"
#include "json/writer.h"

namespace fieldpipe::subscriber {
namespace {

constexpr std::string_view kParts = "tplxXqrmjJIUCRPE";

struct SplitTime {
  std::time_t seconds;
  long nanoseconds;
};

SplitTime split(WallTime at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  return {static_cast<std::time_t>(seconds.time_since_epoch().count()), static_cast<long>((at - seconds).count())};
}

void append_clock(std::string& out, const char* pattern, std::time_t seconds) {
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 128> text{};
  out.append(text.data(), std::strftime(text.data(), text.size(), pattern, &local));
}

void append_property(std::string& out, const mqtt::Received& message, std::string_view name) {
  bool first = true;
  for (const mqtt::Property& property : message.properties) {
    if (property.name != name) continue;
    if (!first) out.push_back(' ');
    first = false;
    if (name == "user-property") out.append(property.key).push_back(':');
    out.append(property.value);
  }
}

// Member names and their order are mosquitto_sub's.
void append_json(std::string& out, const mqtt::Received& message, WallTime at, bool payload_is_json) {
  const SplitTime time = split(at);
  out.append("{\"tst\":\"");
  append_clock(out, "%FT%T", time.seconds);
  fmt::format_to(std::back_inserter(out), ".{:06}", time.nanoseconds / 1000);
  append_clock(out, "%z", time.seconds);
  out.append("\",\"topic\":");
  json::append_string(out, message.topic);
  fmt::format_to(std::back_inserter(out), ",\"qos\":{},\"retain\":{},\"payloadlen\":{}", message.qos,
                 message.retain ? 1 : 0, message.payload.size());
  if (message.qos > 0) fmt::format_to(std::back_inserter(out), ",\"mid\":{}", message.packet_id);
  out.append(",\"payload\":");
  if (payload_is_json) {
    out.append(message.payload);
  } else {
    json::append_string(out, message.payload);
  }
  out.push_back('}');
}

std::optional<char> escaped(char c) {
  switch (c) {
    case '\\': return '\\';
    case '0': return '\0';
    case 'a': return '\a';
    case 'e': return '\x1b';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    default: return std::nullopt;
  }
}

}  // namespace

Result<Format> Format::parse(std::string_view pattern) {
  Format format;
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) format.pieces_.push_back({Kind::kText, std::exchange(text, {})});
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char lead = pattern[i];
    if (lead != '%' && lead != '@' && lead != '\\') {
      text.push_back(lead);
      continue;
    }
    if (++i == pattern.size()) return fail(ErrorCode::kUsage, fmt::format("'{}' ends in {}", printable(pattern), lead));
    const char letter = pattern[i];
    if (lead == '\\') {
      const auto character = escaped(letter);
      if (!character)
        return fail(ErrorCode::kUsage, fmt::format("'{}' is not known", printable(pattern.substr(i - 1, 2))));
      text.push_back(*character);
    } else if (letter == lead) {
      text.push_back(lead);
    } else if (lead == '@') {
      end_text();
      format.pieces_.push_back({Kind::kClock, std::string(1, letter)});
    } else if (kParts.find(letter) != std::string_view::npos) {
      end_text();
      format.pieces_.push_back({Kind::kPart, std::string(1, letter)});
    } else {
      return fail(ErrorCode::kUsage, fmt::format("'{}' is not known", printable(pattern.substr(i - 1, 2))),
                  "%t topic, %p payload; the others are in the man page");
    }
  }
  end_text();
  return format;
}

Result<void> Format::append(std::string& out, const mqtt::Received& message, WallTime at, json::Reader& reader) const {
  const SplitTime time = split(at);
  for (const Piece& piece : pieces_) {
    if (piece.kind == Kind::kText) {
      out.append(piece.text);
      continue;
    }
    if (piece.kind == Kind::kClock) {
      if (piece.text == "N") {
        fmt::format_to(std::back_inserter(out), "{:09}", time.nanoseconds);
      } else {
        append_clock(out, ("%" + piece.text).c_str(), time.seconds);
      }
      continue;
    }
    switch (piece.text[0]) {
      case 't': out.append(message.topic); break;
      case 'p': out.append(message.payload); break;
      case 'l': json::append_integer(out, message.payload.size()); break;
      case 'x': append_hex(out, as_bytes(message.payload)); break;
      case 'X': append_hex(out, as_bytes(message.payload), kUpperHex); break;
      case 'q': json::append_integer(out, message.qos); break;
      case 'r': out.push_back(message.retain ? '1' : '0'); break;
      case 'm': json::append_integer(out, message.packet_id); break;
      case 'I': append_clock(out, "%FT%T%z", time.seconds); break;
      case 'U': fmt::format_to(std::back_inserter(out), "{}.{:09}", time.seconds, time.nanoseconds); break;
      case 'C': append_property(out, message, "content-type"); break;
      case 'R': append_property(out, message, "response-topic"); break;
      case 'P': append_property(out, message, "user-property"); break;
      case 'E': append_property(out, message, "message-expiry-interval"); break;
      case 'j': append_json(out, message, at, false); break;
      case 'J':
        if (!reader.is_value(message.payload))
          return fail(ErrorCode::kBadData, "the payload is not JSON", "%j writes it as a string");
        append_json(out, message, at, true);
        break;
      default: break;
    }
  }
  return {};
}

}  // namespace fieldpipe::subscriber
