// SPDX-License-Identifier: MIT
// Any document is settings or an error of configuration, and every setting has at least its line.
#include <cstdint>
#include <cstdlib>

#include "core/bytes.h"
#include "toml/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fieldpipe::as_text(std::as_bytes(std::span(data, size)));
  const auto document = fieldpipe::toml::parse_document(text);
  if (document && document->type != fieldpipe::toml::Type::kTable) std::abort();
  const auto settings = fieldpipe::toml::parse_settings(text);
  if (!settings) {
    if (settings.error().code != fieldpipe::ErrorCode::kConfig || settings.error().what.empty()) std::abort();
    return 0;
  }
  for (const auto& setting : *settings) {
    if (setting.line == 0) std::abort();
  }
  return 0;
}
