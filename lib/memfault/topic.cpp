// SPDX-License-Identifier: MIT
#include "memfault/topic.h"

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::size_t kMaxTopicBytes = 65'535;

// Goes over the levels of a topic, of which there is always one.
class Levels {
 public:
  explicit Levels(std::string_view text) : rest_(text) {}

  std::optional<std::string_view> next() {
    if (!rest_) return std::nullopt;
    const std::size_t slash = rest_->find('/');
    const std::string_view level = rest_->substr(0, slash);
    rest_ = slash == std::string_view::npos ? std::nullopt : std::optional(rest_->substr(slash + 1));
    return level;
  }

  [[nodiscard]] bool at_end() const { return !rest_; }

 private:
  std::optional<std::string_view> rest_;
};

tl::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(ErrorCode::kUsage, fmt::format("topic template '{}' {}", printable(text), why));
}

}  // namespace

Result<TopicTemplate> TopicTemplate::parse(std::string_view text) {
  // The documentation's cloud function subscribes to this and counts levels.
  constexpr std::string_view kDocumentedTail = "/+/+/memfault/#";
  TopicTemplate result;
  std::optional<std::size_t> device;
  if (text.empty()) return bad(text, "is empty");
  if (text.size() > kMaxTopicBytes)
    return fail(ErrorCode::kUsage,
                fmt::format("topic template of {} bytes, the limit is {}", text.size(), kMaxTopicBytes));
  if (text.find('\0') != std::string_view::npos || find_invalid_utf8(text)) return bad(text, "is no MQTT text");
  if (text.starts_with("$share/")) return bad(text, "is a shared subscription, which breaks the order of chunks");
  Levels levels(text);
  for (std::size_t number = 0; const auto level = levels.next(); ++number) {
    std::string_view part = *level;
    if (part == "{device}") {
      if (device) return bad(text, "has {device} twice");
      device = number;
      part = "+";
    } else if (part == "{key}") {
      if (result.key_level_) return bad(text, "has {key} twice");
      result.key_level_ = number;
      part = "+";
    } else if (part == "#") {
      if (!levels.at_end()) return bad(text, "has a # that is not the last level");
    } else if (part != "+" && part.find_first_of("+#{}") != std::string_view::npos) {
      return bad(text, fmt::format("has '{}', and a wildcard or name is a whole level: + # {{device}} {{key}}",
                                   printable(part)));
    }
    if (number > 0) result.filter_.push_back('/');
    result.filter_.append(part);
  }
  if (!device) {
    const std::size_t slash = text.find('/');
    if (result.key_level_ || slash == std::string_view::npos || text.substr(slash) != kDocumentedTail)
      return bad(text, "has no level {device}");
    device = 2;
    result.key_level_ = 4;
  }
  result.device_level_ = *device;
  return result;
}

std::optional<TopicTemplate::Match> TopicTemplate::match(std::string_view topic) const {
  // A wildcard at the front does not reach the broker's own topics.
  if (topic.starts_with('$') && (filter_.starts_with('+') || filter_.starts_with('#'))) return std::nullopt;
  Match found;
  Levels wanted(filter_);
  Levels given(topic);
  bool rest_matches = false;  // behind a #
  for (std::size_t number = 0;; ++number) {
    const auto pattern = rest_matches ? std::nullopt : wanted.next();
    const auto level = given.next();
    rest_matches = rest_matches || pattern == "#";
    if (!level) {
      if (pattern && !rest_matches) return std::nullopt;
      return found;
    }
    if (!rest_matches && (!pattern || (*pattern != "+" && *pattern != *level))) return std::nullopt;
    if (number == device_level_) found.device = *level;
    if (number == key_level_) found.project_key = *level;
  }
}

}  // namespace fieldpipe::memfault
