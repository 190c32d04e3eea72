// SPDX-License-Identifier: MIT
#include "memfault/options.h"

#include <string>

#include "memfault/identity.h"

namespace fieldpipe::memfault {
namespace {

Result<void> read_topic(TopicTemplate& topic, std::string_view text) {
  auto parsed = TopicTemplate::parse(text);
  if (!parsed) return fail(std::move(parsed));
  topic = *std::move(parsed);
  return {};
}

Result<void> read_device(std::string& device, std::string_view text) {
  if (auto checked = check_device(text); !checked) return fail(ErrorCode::kUsage, std::move(checked.error().what));
  device = text;
  return {};
}

}  // namespace

void declare(cli::OptionTable& table, ChunkReaderOptions& options) {
  table.choice<ChunkForm>("from", "FORMAT", options.form,
                          {{"auto", ChunkForm::kAuto},
                           {"frames", ChunkForm::kFrames},
                           {"whole", ChunkForm::kWhole},
                           {"hex", ChunkForm::kHex},
                           {"base64", ChunkForm::kBase64},
                           {"console", ChunkForm::kConsole},
                           {"ndjson", ChunkForm::kNdjson},
                           {"events", ChunkForm::kEvents},
                           {"envelope", ChunkForm::kEnvelope}},
                          "how chunks come in");
  table
      .parsed("topic", "TEMPLATE", "where {device} and {key} stand in the topic of a chunk",
              [&options](std::string_view text) { return read_topic(options.topic, text); })
      .default_text(std::string(kDefaultTopic));
}

void declare_device(cli::OptionTable& table, std::string& device) {
  table.parsed("device", "SERIAL", "device whose chunks come without its name",
               [&device](std::string_view text) { return read_device(device, text); });
}

}  // namespace fieldpipe::memfault
