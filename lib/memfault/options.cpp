// SPDX-License-Identifier: MIT
#include "memfault/options.h"

#include <string>

namespace fieldpipe::memfault {
namespace {

Result<void> read_topic(TopicTemplate& topic, std::string_view text) {
  auto parsed = TopicTemplate::parse(text);
  if (!parsed) return fail(std::move(parsed));
  topic = *std::move(parsed);
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

}  // namespace fieldpipe::memfault
