// SPDX-License-Identifier: MIT
// The FlexConnect JSON message, as laid out by the developer guide (Audesse/flexconnect):
//
//   {"device_id": string, "token": string, "tags": [{"k": "v"}, ...],
//    "points": [{"timestamp": ms, "tags": [{"k": "v"}, ...], "fields": [{"name": string, "value": string or number}]}]}
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "can/frame.h"
#include "core/result.h"
#include "flexconnect/points.h"
#include "json/reader.h"

namespace fieldpipe::flexconnect {

// What a message and its points hold where a point does not say it itself.
struct JsonDefaults {
  std::string device_id;
  std::string token;
  Tags tags;        // of the message
  Tags point_tags;  // of each point without tags of its own
};

// A point as it stands in a message; see JsonEncoder::render().
struct PointText {
  std::string head;  // of the message it belongs to, when that is not the default one
  std::string text;
};

// Builds messages, one after another: compact, one line, keys in the order above, tags written even when there are
// none. The same input gives the same bytes.
class JsonEncoder {
 public:
  explicit JsonEncoder(const JsonDefaults& defaults);

  // Writes down a point, so that its size is known before it is added.
  void render(const Point& point, PointText& out) const;

  // Of a rendered point: whether the message begun is of its device and tags (one not begun takes any), bytes of the
  // message if it were added, and adding it. The time is in the text.
  [[nodiscard]] bool accepts(std::int64_t, const PointText& point) const { return empty() || head_of(point) == head_; }
  [[nodiscard]] std::size_t size_with(std::int64_t, const PointText& point) const;
  void add(std::int64_t, const PointText& point);

  // The same of a CAN frame without a database, for which is_data_frame() holds: a field named by bus and identifier as
  // candump writes it, with the data as text: {"name":"can0.123","value":"11AAFF"}, {"name":"can1.12345678",...}.
  // Consecutive frames of one millisecond share a point; a name that would repeat in it begins another.
  static constexpr bool accepts(std::int64_t, unsigned, const can::Frame&) { return true; }
  [[nodiscard]] std::size_t size_with(std::int64_t time_ms, unsigned bus, const can::Frame& frame) const;
  void add(std::int64_t time_ms, unsigned bus, const can::Frame& frame);

  // Nothing was added since construction or clear().
  [[nodiscard]] bool empty() const { return text_.empty(); }

  // The message. Valid until the next add() or clear().
  [[nodiscard]] std::string_view finish() const { return text_; }

  // Begins the next message.
  void clear();

 private:
  [[nodiscard]] const std::string& head_of(const PointText& point) const {
    return point.head.empty() ? default_head_ : point.head;
  }
  // Bytes of the message with a point of that many bytes more.
  [[nodiscard]] std::size_t size_with_point(const std::string& head, std::size_t point_bytes) const;
  // Writes what comes before the next point; the caller writes the point and kEnd.
  void begin_point(const std::string& head);
  [[nodiscard]] bool continues_point(std::int64_t time_ms, std::uint64_t name) const;

  std::string token_;  // with quotes, as all of these are JSON
  std::string device_id_;
  std::string tags_;
  std::string point_tags_;
  std::string default_head_;
  std::string head_;                                                // of the message begun
  std::string text_;                                                // the message, always complete
  bool frames_ = false;                                             // the last point is of frames
  std::int64_t time_ms_ = 0;                                        // and of this time
  std::uint64_t point_ = 0;                                         // and has this number
  std::unordered_map<std::uint64_t, std::uint64_t> point_of_name_;  // the last point of each bus and identifier
};

// Walks a JSON message. Strict about what is there; `device_id`, `token` and `tags` may be missing, keys that are not
// known are ignored.
//
//   JsonDecoder decoder;
//   if (auto opened = decoder.open(text); !opened) ...
//   for (;;) {
//     const auto more = decoder.next(point);
//     if (!more || !*more) break;
//     ...
//   }
class JsonDecoder {
 public:
  // Reads what is before the points. Where something is behind them instead, the message is walked twice. The message
  // must be plain and stay in place. Fails with kBadData.
  Result<void> open(std::string_view message);

  // Takes the next point, with device_id and message_tags as the message has them; false at the end. Fails with
  // kBadData and the offset; the points before stay good.
  Result<bool> next(Point& point);

  // As it stands in the message: secret.
  [[nodiscard]] const std::optional<std::string>& token() const { return token_; }

 private:
  enum { kDeviceId, kToken, kTags, kPoints, kKeys };

  bool read_member();
  void read_point(Point& point);

  json::Reader reader_;
  std::array<bool, kKeys> seen_{};
  bool again_ = false;  // on the second walk
  std::optional<std::string> device_id_;
  std::optional<std::string> token_;
  std::optional<Tags> tags_;
};

}  // namespace fieldpipe::flexconnect
