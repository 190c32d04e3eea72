// SPDX-License-Identifier: MIT
#include "smp_device/answer.h"

#include <array>

#include "smp/error.h"

namespace fieldpipe::smp_device {
namespace {

struct Folded {
  smp::Group group;
  std::int64_t rc;
  std::int64_t general;
};

constexpr std::int64_t kUnknown = 1;
constexpr std::int64_t kBadState = 6;

// All others are kUnknown.
constexpr std::array kFolded{
    Folded{smp::Group::kOs, 2, smp::kInvalid},
    Folded{smp::Group::kOs, 3, smp::kNoEntry},
    Folded{smp::Group::kOs, 4, smp::kNoEntry},
    Folded{smp::Group::kImage, 3, smp::kNoEntry},
    Folded{smp::Group::kImage, 4, smp::kNoEntry},
    Folded{smp::Group::kImage, 9, kBadState},
    Folded{smp::Group::kImage, 14, smp::kInvalid},
    Folded{smp::Group::kImage, 15, smp::kNoMemory},
    Folded{smp::Group::kImage, 19, smp::kInvalid},
    Folded{smp::Group::kImage, 20, smp::kInvalid},
    Folded{smp::Group::kImage, 21, smp::kInvalid},
    Folded{smp::Group::kImage, 22, smp::kInvalid},
    Folded{smp::Group::kImage, 24, smp::kInvalid},
    Folded{smp::Group::kImage, 25, smp::kInvalid},
    Folded{smp::Group::kImage, 27, kBadState},
    Folded{smp::Group::kImage, 28, kBadState},
    Folded{smp::Group::kStat, 2, smp::kNoEntry},
    Folded{smp::Group::kStat, 3, smp::kNoEntry},
    Folded{smp::Group::kStat, 4, smp::kInvalid},
    Folded{smp::Group::kSettings, 2, smp::kInvalid},
    Folded{smp::Group::kSettings, 3, smp::kNoEntry},
    Folded{smp::Group::kSettings, 4, smp::kNotSupported},
    Folded{smp::Group::kSettings, 6, smp::kNotSupported},
    Folded{smp::Group::kSettings, 7, smp::kNotSupported},
    Folded{smp::Group::kSettings, 8, smp::kNotSupported},
    Folded{smp::Group::kFs, 2, smp::kInvalid},
    Folded{smp::Group::kFs, 3, smp::kNoEntry},
    Folded{smp::Group::kFs, 4, smp::kInvalid},
    Folded{smp::Group::kFs, 12, smp::kInvalid},
    Folded{smp::Group::kFs, 13, smp::kInvalid},
    Folded{smp::Group::kFs, 14, smp::kNoEntry},
    Folded{smp::Group::kShell, 2, smp::kInvalid},
    Folded{smp::Group::kShell, 3, smp::kInvalid},
    Folded{smp::Group::kEnum, 4, smp::kInvalid},
    Folded{smp::Group::kMemfault, 2, smp::kNoEntry},
};

std::int64_t fold(smp::Group group, std::int64_t rc) {
  for (const Folded& row : kFolded) {
    if (row.group == group && row.rc == rc) return row.general;
  }
  return kUnknown;
}

}  // namespace

std::string print_failure(const Failure& failure, smp::Version version) {
  cbor::Value::Map map;
  if (failure.group && version == smp::Version::k2) {
    map.emplace_back("err",
                     cbor::Value::Map{{"group", static_cast<std::uint16_t>(*failure.group)}, {"rc", failure.rc}});
    map.insert(map.end(), failure.beside.begin(), failure.beside.end());
  } else {
    map.emplace_back("rc", failure.group ? fold(*failure.group, failure.rc) : failure.rc);
    if (!failure.reason.empty()) map.emplace_back("rsn", failure.reason);
  }
  std::string payload;
  cbor::encode(payload, map, cbor::Lengths::kIndefinite);
  return payload;
}

}  // namespace fieldpipe::smp_device
