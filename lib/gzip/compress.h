// SPDX-License-Identifier: MIT
// Gzip (RFC 1952) of whole messages in memory.
#pragma once

#include <memory>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

struct libdeflate_compressor;

namespace fieldpipe::gzip {

inline constexpr int kMinLevel = 1;
inline constexpr int kMaxLevel = 9;  // libdeflate's 10 to 12 take 9 MB of state for some 4 % less
inline constexpr int kDefaultLevel = 6;

// A compressor whose state is reused from message to message: 0.2 MB at level 1, 0.7 MB above. Movable; not for use by
// two threads at once.
class Compressor {
 public:
  explicit Compressor(int level = kDefaultLevel);

  // Appends one gzip member that holds `in`, without name or time stamp: equal input and level give equal bytes. Fails
  // with kBug when the level was not 1 to 9 and kUnavailable when there was no memory; `out` is then as it was.
  Result<void> compress(Bytes in, std::string& out);

 private:
  struct Free {
    void operator()(libdeflate_compressor* compressor) const;
  };

  int level_;
  std::unique_ptr<libdeflate_compressor, Free> compressor_;
};

}  // namespace fieldpipe::gzip
