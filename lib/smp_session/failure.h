// SPDX-License-Identifier: MIT
// Why a command did not give its result: an error of ours, or what the device answered instead.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cbor/value.h"
#include "core/result.h"
#include "smp/error.h"

namespace fieldpipe::smp_session {

struct Failure {
  Error error;
  std::optional<smp::DeviceError> device;  // what the device answered, if that is the reason
  cbor::Value payload;                     // all that it said then

  Failure(Error why) : error(std::move(why)) {}
  explicit Failure(smp::DeviceError why)
      : error{smp::classify(why), "the device answers: " + smp::print(why), {}, std::nullopt}, device(std::move(why)) {}

  // The device answered with this general code, or this code of a group.
  [[nodiscard]] bool is_general(std::int64_t code) const { return device && device->is_general(code); }
  [[nodiscard]] bool is(smp::Group group, std::int64_t code) const { return device && device->is(group, code); }

  // The same failure seen from one level up, as Error::in.
  [[nodiscard]] Failure in(std::string_view subject) && {
    error = std::move(error).in(subject);
    return std::move(*this);
  }
};

// A result of what a device was asked for. An Error becomes a Failure by itself.
template <typename T>
class [[nodiscard]] Outcome : public tl::expected<T, Failure> {
 public:
  using tl::expected<T, Failure>::expected;
  Outcome(tl::unexpected<Error> why) : tl::expected<T, Failure>(tl::make_unexpected(Failure(std::move(why.value())))) {}
};

// Passes the failure of an inner Outcome or Result on.
template <typename T>
[[nodiscard]] tl::unexpected<Failure> pass(Outcome<T>&& outcome) {
  return tl::make_unexpected(std::move(outcome).error());
}
template <typename T>
[[nodiscard]] tl::unexpected<Failure> pass(Result<T>&& result) {
  return tl::make_unexpected(Failure(std::move(result).error()));
}

}  // namespace fieldpipe::smp_session
