// SPDX-License-Identifier: MIT
// MQTT topics that carry chunks, as a template that says where the device and the project key stand.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fieldpipe::memfault {

// Where devices publish unless told otherwise (docs.memfault.com, Uploading Data With MQTT), with its levels named.
inline constexpr std::string_view kDefaultTopic = "prod/+/{device}/memfault/{key}/chunk";

// A template is an MQTT topic filter in which one level is {device} and perhaps one is {key}:
//
//   prod/+/{device}/memfault/{key}/chunk     filter prod/+/+/memfault/+/chunk
//   memfault/+/{device}/chunks               filter memfault/+/+/chunks, without a key
//   prod/+/+/memfault/#                      as the documentation's cloud function reads it: the device is
//                                            level 3, the key level 5 where there is one
class TopicTemplate {
 public:
  // Fails with kUsage: no device and not the documented shape, a wildcard or name inside a level or twice, a `#` that
  // is not last, a shared subscription (it would break the order of chunks), U+0000, more than 65,535 bytes.
  static Result<TopicTemplate> parse(std::string_view text);

  // What to subscribe to.
  [[nodiscard]] const std::string& filter() const { return filter_; }

  // Whether there is a level with a key.
  [[nodiscard]] bool has_key() const { return key_level_.has_value(); }

  // Levels of a topic, not checked: see identity.h. Views of the topic.
  struct Match {
    std::string_view device;
    std::optional<std::string_view> project_key;
  };

  // Nothing when the topic does not match the filter (MQTT 5.0 section 4.7).
  [[nodiscard]] std::optional<Match> match(std::string_view topic) const;

 private:
  std::string filter_;
  std::size_t device_level_ = 0;  // counted from 0
  std::optional<std::size_t> key_level_;
};

}  // namespace fieldpipe::memfault
