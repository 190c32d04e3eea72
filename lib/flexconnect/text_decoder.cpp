// SPDX-License-Identifier: MIT
#include "flexconnect/text_decoder.h"

#include <utility>

#include <fmt/format.h>

#include "json/writer.h"

namespace fieldpipe::flexconnect {

TextDecoder::TextDecoder(const TextDecoderOptions& options, can::FrameWriter& writer)
    : show_token_(options.show_token), writer_(writer), unwrapper_(options.max_inflated_bytes) {
  for (unsigned bus = 0; bus < kBuses; ++bus) interfaces_[bus] = options.buses.interface_of(bus);
}

Result<void> TextDecoder::begin(Bytes message) {
  ++frame_.message_number;
  compressed_ = false;
  binary_.reset();
  token_member_.clear();
  frame_.members = {};
  auto unwrapped = unwrapper_.unwrap(message);
  if (!unwrapped) return fail(std::move(unwrapped));
  compressed_ = unwrapped->compressed;
  if (unwrapped->form == Form::kBinary) {
    auto opened = BinaryDecoder::open(unwrapped->body);
    if (!opened) return placed(std::move(opened).error());
    binary_ = *std::move(opened);
    if (show_token_) {
      token_member_ = R"(,"token":)";
      json::append_string(token_member_, binary_->token());
      frame_.members = token_member_;
    }
    return {};
  }
  if (writer_.format() != can::FrameFormat::kNdjson) {
    return fail(ErrorCode::kBadData, "a JSON message holds points, which are no frames", "--to ndjson");
  }
  if (auto opened = json_.open(as_text(unwrapped->body)); !opened) return placed(std::move(opened).error());
  return {};
}

Result<bool> TextDecoder::more(std::string& out, std::size_t block_bytes) {
  auto result = binary_ ? more_readings(out, block_bytes) : more_points(out, block_bytes);
  if (!result) return placed(std::move(result).error());
  return result;
}

Result<bool> TextDecoder::more_readings(std::string& out, std::size_t block_bytes) {
  const std::size_t start = out.size();
  for (;;) {
    unsigned bus = 0;
    while (binary_->next_reading(bus, frame_.frame)) {
      frame_.bus = bus;
      frame_.interface = interfaces_[bus];
      ++frames_;
      if (auto written = writer_.write(out, frame_); !written) return fail(std::move(written));
    }
    if (out.size() - start >= block_bytes) return true;
    auto point = binary_->next_point();
    if (!point) return fail(std::move(point));
    saw_byte_counts_ = saw_byte_counts_ || binary_->used_byte_counts();
    if (!*point) return false;
    frame_.time = can::Moment::of_ms(binary_->time_ms());
  }
}

Result<bool> TextDecoder::more_points(std::string& out, std::size_t block_bytes) {
  const std::size_t start = out.size();
  while (out.size() - start < block_bytes) {
    auto more = json_.next(point_);
    if (!more || !*more) return more;
    append_point(out, point_,
                 show_token_ && json_.token() ? std::optional<std::string_view>(*json_.token()) : std::nullopt);
    out += '\n';
  }
  return true;
}

// An offset into the inside of a compressed message means nothing to somebody who looks at its outside.
tl::unexpected<Error> TextDecoder::placed(Error error) const {
  if (compressed_) error.what += " (after decompression)";
  return tl::make_unexpected(std::move(error));
}

}  // namespace fieldpipe::flexconnect
