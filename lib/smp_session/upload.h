// SPDX-License-Identifier: MIT
// Images and files to a device, as fast as its buffers allow, repaired where the link loses something.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/progress.h"
#include "core/bytes.h"
#include "smp/fs.h"
#include "smp/image.h"
#include "smp/image_file.h"
#include "smp_session/failure.h"
#include "smp_session/session.h"

namespace fieldpipe::smp_session {

struct UploadResult {
  std::uint64_t bytes = 0;       // of the file
  std::uint64_t resumed_at = 0;  // what the device had from a run before
  std::uint64_t repairs = 0;     // times that something was sent again
  std::optional<bool> match;     // whether the device says that the slot holds the file; nothing: it did not check

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("bytes", self.bytes);
    f("resumed_at", self.resumed_at);
    f("repairs", self.repairs);
    f("match", self.match);
  }
};

struct ImageUpload {
  std::uint32_t image = 0;
  bool newer_only = false;  // refuse what is not newer than the running image
};

// Sends `image`, which is what is in `file`. One that was interrupted goes on where it was, because its parts are named
// by the digest of the file. Fails with what the device answers, with kUnavailable when it gets no further, with
// kRefused where the slot holds something else in the end.
Outcome<UploadResult> upload_image(Session& session, Bytes file, const smp::ImageFile& image,
                                   const ImageUpload& options, cli::Progress& progress);

// Writes a file of the device, from its start.
Outcome<UploadResult> upload_file(Session& session, Bytes file, const std::string& name, cli::Progress& progress);

// Closes the file that a transfer has left open.
Outcome<void> close_file(Session& session);

// Reads a file of the device in parts, each handed to `take` as it comes. Fails with kBadData where a part makes no
// sense: none at all, an offset that was not asked for, more than the file has.
Outcome<std::uint64_t> download_file(Session& session, const std::string& name,
                                     const std::function<Result<void>(std::string_view)>& take,
                                     cli::Progress& progress);

}  // namespace fieldpipe::smp_session
