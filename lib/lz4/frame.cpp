// SPDX-License-Identifier: MIT
#include "lz4/frame.h"

#include <lz4frame.h>

namespace fieldpipe::lz4 {

void append_frame(std::string& out, Bytes bytes) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockSizeID = LZ4F_max4MB;  // the library takes a smaller one where that is enough
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  const std::size_t before = out.size();
  const std::size_t bound = LZ4F_compressFrameBound(bytes.size(), &preferences);
  out.resize(before + bound);
  // Cannot fail within the bound but for want of memory, and then its answer is no size.
  const std::size_t size = LZ4F_compressFrame(out.data() + before, bound, bytes.data(), bytes.size(), &preferences);
  out.resize(before + (LZ4F_isError(size) != 0U ? 0 : size));
}

}  // namespace fieldpipe::lz4
