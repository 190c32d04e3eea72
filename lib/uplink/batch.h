// SPDX-License-Identifier: MIT
// A batch of points on its way to becoming one message: a JSON array (bytebeamio/uplink
// uplink/src/base/bridge/stream.rs).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace fieldpipe::uplink {

struct BatchLimits {
  std::size_t points = 100;    // at least 1
  std::size_t bytes = 256000;  // of the array; a point that is larger alone fits in no batch
};

class Batch {
 public:
  explicit Batch(BatchLimits limits) : limits_(limits) {}

  // Whether a point of this many bytes fits in any batch.
  [[nodiscard]] bool can_hold(std::size_t point_bytes) const { return point_bytes + kBrackets <= limits_.bytes; }

  // Whether the batch can take one more of this size. uplink does not look at bytes, and a batch above the packet limit
  // of the connection then stops all that comes behind it.
  [[nodiscard]] bool has_room(std::size_t point_bytes) const {
    return points_ < limits_.points && text_.size() + 1 + point_bytes + 1 <= limits_.bytes;
  }

  // Adds the JSON text of a point; there is room.
  void add(std::string_view point) {
    text_ += points_++ == 0 ? '[' : ',';
    text_ += point;
  }

  [[nodiscard]] bool full() const { return points_ >= limits_.points; }
  [[nodiscard]] bool empty() const { return points_ == 0; }
  [[nodiscard]] std::size_t points() const { return points_; }

  // The array. The batch is empty afterwards.
  std::string take() {
    text_ += ']';
    points_ = 0;
    return std::exchange(text_, {});
  }

 private:
  static constexpr std::size_t kBrackets = 2;

  BatchLimits limits_;
  std::size_t points_ = 0;
  std::string text_;
};

}  // namespace fieldpipe::uplink
