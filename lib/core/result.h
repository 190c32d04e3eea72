// SPDX-License-Identifier: MIT
// The one error type and the one result type of the project.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

namespace fieldpipe {

// What kind of failure it is, which is what a caller can act on. `cli` turns each into one exit
// status (design: errors and exit statuses); nothing else gives them numbers.
enum class ErrorCode {
  kUsage,        // the call is wrong: fix the command line
  kBadData,      // the input is not what it claims to be
  kNoInput,      // an input file is missing
  kRefused,      // the far side refused for good
  kBug,          // a broken invariant of our own
  kIo,           // a read, write or disk failed
  kUnavailable,  // not now: network, time limit, busy; trying again may work
  kDenied,       // credentials were refused
  kConfig,       // a configuration file or the environment is wrong
  kReaderGone,   // the reader of our output closed it (EPIPE)
};

// A failure as a value. `what` is lower case, without a final period, and carries the offending
// value and the limit it broke, but neither the tool's name nor the file's: levels above add those.
struct Error {
  ErrorCode code = ErrorCode::kBug;
  std::string what;
  std::string hint;                     // what the user can do; empty where there is nothing
  std::optional<std::uint64_t> offset;  // bytes from the start of the input the failing code was given

  // The same failure seen from one level up: "`subject`: what".
  [[nodiscard]] Error in(std::string_view subject) && {
    what.insert(0, ": ").insert(0, subject);
    return std::move(*this);
  }
};

// A value or the reason there is none. Ignoring one is a compile-time warning, which
// `tl::expected` by itself does not give.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;

  // Success. Written out because `return {}` would otherwise first set all bytes of the Error to zero, which shows
  // where a Result is returned for each frame.
  Result()
    requires(std::is_void_v<T> || std::is_default_constructible_v<T>)
  {}
};

// For `return fail(ErrorCode::kBadData, "...")` out of any function that returns a Result.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string what, std::string hint = {}) {
  return tl::make_unexpected(Error{code, std::move(what), std::move(hint), std::nullopt});
}

// The same, for a failure at a known place: `offset` bytes into what the function was given.
[[nodiscard]] inline tl::unexpected<Error> fail_at(std::uint64_t offset, ErrorCode code, std::string what,
                                                   std::string hint = {}) {
  return tl::make_unexpected(Error{code, std::move(what), std::move(hint), offset});
}

// Passes the failure of an inner Result on: `if (!r) return fail(std::move(r));`.
template <typename T>
[[nodiscard]] tl::unexpected<Error> fail(Result<T>&& result) {
  return tl::make_unexpected(std::move(result).error());
}

}  // namespace fieldpipe
