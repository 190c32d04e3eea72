// SPDX-License-Identifier: MIT
// LZ4 frames. The only place that knows liblz4.
#pragma once

#include <string>

#include "core/bytes.h"

namespace fieldpipe::lz4 {

// Appends `bytes` as one LZ4 frame (lz4/lz4 doc/lz4_Frame_format.md): independent blocks, no checksums, no content
// size, the smallest block size that holds it all and otherwise the largest. So do others that feed readers of this
// format (PSeitz/lz4_flex src/frame/header.rs): a frame of up to 64 KiB begins 04 22 4d 18 60 40 82. At most 1 GiB.
void append_frame(std::string& out, Bytes bytes);

}  // namespace fieldpipe::lz4
