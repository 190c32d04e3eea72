// SPDX-License-Identifier: MIT
// What is in a spool, as NDJSON. Nothing here changes or locks anything: an owner may be at work.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/result.h"

namespace fieldpipe::spool {

// Where lines go: `out` grows by one at a time, and `line_done` is called after each, to pass it on.
struct Listing {
  std::string& out;
  std::function<void()> line_done;
  bool payloads = false;  // of records and letters, in base64, and not their digests
};

// Each record that is in the files: `{"sequence":1,"lane":"l","time":1700000000.5,"length":3,"sha256":"...",
// "state":"queued","segment":1}`; with payloads only those that are unfinished. Of a lane only what stands before the
// first NUL is shown: behind it an owner may keep what is nobody else's business. Fails as inspect() does, and so do
// the others.
Result<void> list_records(const std::string& directory, const Listing& listing);

// Each dead letter: `{"number":1,"sequence":7,"lane":"l","time":1700000000.5,"reason":"refused","detail":"",
// "length":3,"kept":3,"sha256":"..."}`, without a sequence where it was refused at the door.
Result<void> list_dead_letters(const std::string& directory, const Listing& listing);

// A line for each stretch of damage, `{"folder":"records","segment":1,"damaged_from":40,"damaged_to":90}`, and one with
// the figures of each folder. Returns how many stretches and foreign files there are.
Result<std::uint64_t> list_damage(const std::string& directory, const Listing& listing);

}  // namespace fieldpipe::spool
