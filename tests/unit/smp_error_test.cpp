// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "smp/error.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

TEST_CASE("names of the codes in recorded responses") {
  for (const Json& vector : read_vectors("packets.jsonl")) {
    if (!vector.contains("result") || vector["result"]["kind"] == "ok") continue;
    const Json& result = vector["result"];
    CAPTURE(vector["name"].get<std::string>());
    CAPTURE(result.dump());
    DeviceError error{std::nullopt, result["rc"].get<std::int64_t>(), {}};
    if (result["kind"] == "error-v2") error.group = static_cast<Group>(result["group"].get<int>());
    const auto name = code_name(error);
    if (result.contains("name") && result["name"].is_string()) {
      CHECK(name == result["name"].get<std::string>());
    }
  }
}

TEST_CASE("texts") {
  CHECK(print({Group::kImage, 9, {}}) == "image error NO_FREE_SLOT (9)");
  CHECK(print({std::nullopt, 3, "magic mismatch"}) == "error EINVAL (3): magic mismatch");
  CHECK(print({static_cast<Group>(77), 5, {}}) == "group 77 error 5");
  CHECK(print({std::nullopt, 300, {}}) == "error EPERUSER (300)");
  CHECK(print({std::nullopt, -1, "\x1b[31m"}) == "error -1: \\x1b[31m");
  CHECK(print({Group::kImage, 35, {}}) == "image error 35");
}

TEST_CASE("what a caller can do") {
  CHECK(classify({std::nullopt, kAccessDenied, {}}) == ErrorCode::kDenied);
  CHECK(classify({Group::kImage, kAccessDenied, {}}) == ErrorCode::kRefused);
  for (const std::int64_t rc : {kNoMemory, kTimeout, kBusy}) {
    CHECK(classify({std::nullopt, rc, {}}) == ErrorCode::kUnavailable);
  }
  CHECK(classify({Group::kImage, 15, {}}) == ErrorCode::kUnavailable);
  CHECK(classify({std::nullopt, kNotSupported, {}}) == ErrorCode::kRefused);
  CHECK(classify({std::nullopt, 1000, {}}) == ErrorCode::kRefused);
}

}  // namespace
}  // namespace fieldpipe::smp
