// SPDX-License-Identifier: MIT
// A look at a spool from outside, also while its owner works.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/result.h"
#include "spool/format.h"
#include "spool/index.h"
#include "spool/spool.h"

namespace fieldpipe::spool {

// A record as inspect() shows it.
struct Inspected {
  Record record;
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
  bool finished = false;
};

struct Inspection {
  Statistics statistics;
  std::vector<Index::Damage> damage;
};

// Shows each record that is in the files of a spool once, without changing or locking anything, also while an owner
// works on it: what that finishes meanwhile may be shown or not. Fails as Directory::open does.
Result<Inspection> inspect(const std::string& directory, const std::function<void(const Inspected&)>& visit);

}  // namespace fieldpipe::spool
