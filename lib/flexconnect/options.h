// SPDX-License-Identifier: MIT
// Options of the FlexConnect tools.
#pragma once

#include <optional>
#include <string>

#include "cli/option_table.h"
#include "flexconnect/bus_map.h"
#include "flexconnect/text_encoder.h"
#include "gzip/compress.h"
#include "record/framing.h"

namespace fieldpipe::flexconnect {

// Declares --bus.
void declare(cli::OptionTable& table, BusMap& buses);

// What --to of fc-encode asks for.
struct MessageForm {
  std::optional<Form> form;  // not set: by what the input is
  record::Framing binary = record::Framing::kFrames;

  bool operator==(const MessageForm&) const = default;
};

struct MessageOptions {
  MessageForm form;
  std::optional<int> level = gzip::kDefaultLevel;
  std::string token_file;
};

// What the messages are and when they close: --to, --compress, --max-bytes, --max-frames, --interval, --token-file,
// --device-id, --tag, --point-tag, --names, --choices.
void declare(cli::OptionTable& table, TextEncoderOptions& options, MessageOptions& messages);

}  // namespace fieldpipe::flexconnect
