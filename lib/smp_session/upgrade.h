// SPDX-License-Identifier: MIT
// A firmware update from the file to the confirmation, through the reboot.
#pragma once

#include <string>

#include "cli/progress.h"
#include "core/bytes.h"
#include "core/result.h"
#include "smp/image_file.h"
#include "smp_session/commands.h"
#include "smp_session/failure.h"
#include "smp_session/session.h"

namespace fieldpipe::smp_session {

// Brings `image`, which is what is in `file`, to the device, as options.mode says: kUpload ends when it is in its slot,
// kPermanent marks it for good and resets, kTest marks it for a test, resets, checks that it runs and confirms it. What
// an interrupted run has done already is found and not done again. The result is an object with `result`: `running` (it
// does now, confirmed), `already-running` (it did before, and nothing was to do), `testing` (it runs and waits for a
// confirmation), `uploaded`, `planned` (dry run); or, negative, `reverted` (the image before runs again). Fails with
// kRefused where the device refuses, kBadData for an answer that makes no sense, kUnavailable where the device does not
// come back.
Outcome<Answered> upgrade(Session& session, Bytes file, const smp::ImageFile& image, const CommandOptions& options,
                          cli::Progress& progress);

// The image in a file. Fails with kBadData where it is none, or does not have the hash that it names: the device would
// refuse to start it.
Result<smp::ImageFile> read_image(Bytes file);

// What a file is, as JSON: header, version, flags, TLVs, and whether the hash agrees; negative where it does not.
Result<Answered> describe_image(Bytes file);

}  // namespace fieldpipe::smp_session
