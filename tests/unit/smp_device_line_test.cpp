// SPDX-License-Identifier: MIT
#include <chrono>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "smp_device/line.h"

namespace fieldpipe::smp_device {
namespace {

using std::chrono::milliseconds;

constexpr MonotonicTime kStart{};
constexpr std::string_view kPacket = "packet";

// What arrives of 1000 parcels, numbered, that were put a microsecond apart.
std::vector<std::string> carry(const Faults& faults, bool checked = false) {
  Line line(faults, 0, checked);
  for (int i = 0; i < 1000; ++i) line.put({std::to_string(i), {}}, kStart + std::chrono::microseconds(i), faults.delay);
  std::vector<Parcel> arrived;
  line.take(kStart + std::chrono::hours(1), arrived);
  std::vector<std::string> bytes;
  for (Parcel& parcel : arrived) bytes.push_back(std::move(parcel.bytes));
  return bytes;
}

TEST_CASE("a good line carries all, in order, after the delay") {
  Line line({}, 0, false);
  line.put({"a", {}}, kStart, milliseconds(20));
  line.put({"b", {}}, kStart + milliseconds(1), milliseconds(20));
  std::vector<Parcel> arrived;
  CHECK(line.deadline() == kStart + milliseconds(20));
  line.take(kStart + milliseconds(19), arrived);
  CHECK(arrived.empty());
  line.take(kStart + milliseconds(20), arrived);
  CHECK(arrived.size() == 1);
  line.clear();
  CHECK_FALSE(line.deadline());
  CHECK(carry({}).size() == 1000);
  CHECK(carry({}).back() == "999");
}

TEST_CASE("faults come in their share, and are the same for the same seed") {
  Faults faults;
  faults.drop = 0.1;
  const auto dropped = carry(faults);
  CHECK(dropped.size() > 850);
  CHECK(dropped.size() < 950);
  CHECK(carry(faults) == dropped);
  faults.seed = 2;
  CHECK(carry(faults) != dropped);

  Faults repeating;
  repeating.duplicate = 0.1;
  CHECK(carry(repeating).size() > 1050);

  Faults reordering;
  reordering.reorder = 0.1;
  const auto reordered = carry(reordering);
  CHECK(reordered.size() == 1000);
  CHECK(reordered.back() != "999");
}

TEST_CASE("what is garbled differs in one byte, or is lost where a checksum finds it") {
  Faults faults;
  faults.garble = 1;
  CHECK(carry(faults, true).empty());
  Line line(faults, 0, false);
  for (int i = 0; i < 100; ++i) line.put({std::string(kPacket), {}}, kStart, {});
  std::vector<Parcel> arrived;
  line.take(kStart, arrived);
  REQUIRE(arrived.size() == 100);
  for (const Parcel& parcel : arrived) {
    REQUIRE(parcel.bytes.size() == 6);
    CHECK(std::inner_product(parcel.bytes.begin(), parcel.bytes.end(), kPacket.begin(), 0, std::plus<>(),
                             std::not_equal_to<>()) == 1);
  }
}

}  // namespace
}  // namespace fieldpipe::smp_device
