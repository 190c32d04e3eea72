// SPDX-License-Identifier: MIT
#include "flexconnect/text_decoder.h"

#include <fmt/format.h>

#include <utility>

#include "json/writer.h"

namespace fieldpipe::flexconnect {
namespace {

constexpr std::int64_t kMaxCandumpTimeMs = can::kMaxCandumpSeconds * 1000;

}  // namespace

TextDecoder::TextDecoder(TextDecoderOptions options)
    : options_(std::move(options)), unwrapper_(options_.max_inflated_bytes) {
  for (unsigned bus = 0; bus < kBuses; ++bus) interfaces_[bus] = options_.buses.interface_of(bus);
}

Result<void> TextDecoder::begin(Bytes message) {
  ++reading_.message_number;
  compressed_ = false;
  binary_.reset();
  token_member_.clear();
  auto unwrapped = unwrapper_.unwrap(message);
  if (!unwrapped) return fail(std::move(unwrapped));
  compressed_ = unwrapped->compressed;
  if (unwrapped->form == Form::kBinary) {
    auto opened = BinaryDecoder::open(unwrapped->body);
    if (!opened) return placed(std::move(opened).error());
    binary_ = *std::move(opened);
    if (options_.show_token) {
      token_member_ = R"(,"token":)";
      json::append_string(token_member_, binary_->token());
    }
    return {};
  }
  if (options_.format != TextFormat::kNdjson) {
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
  do {
    while (binary_->next_reading(reading_.bus, reading_.frame)) append_reading(out);
    if (out.size() - start >= block_bytes) return true;
    auto point = binary_->next_point();
    if (!point) return fail(std::move(point));
    saw_byte_counts_ = saw_byte_counts_ || binary_->used_byte_counts();
    if (!*point) return false;
    reading_.time_ms = binary_->time_ms();
    if (options_.format == TextFormat::kCandump && reading_.time_ms > kMaxCandumpTimeMs) {
      return fail(ErrorCode::kBadData,
                  fmt::format("time {} ms is after 2262, which a log line cannot hold", reading_.time_ms),
                  "--to ndjson");
    }
  } while (true);
}

Result<bool> TextDecoder::more_points(std::string& out, std::size_t block_bytes) {
  const std::size_t start = out.size();
  while (out.size() - start < block_bytes) {
    auto more = json_.next(point_);
    if (!more || !*more) return more;
    append_point(out, point_,
                 options_.show_token && json_.token() ? std::optional<std::string_view>(*json_.token()) : std::nullopt);
    out += '\n';
  }
  return true;
}

void TextDecoder::append_reading(std::string& out) {
  ++frames_;
  switch (options_.format) {
    case TextFormat::kCandump: append_candump(out, reading_, interfaces_[reading_.bus]); return;
    case TextFormat::kCsv: append_csv(out, reading_); return;
    case TextFormat::kNdjson: append_ndjson(out, reading_, token_member_); return;
  }
}

// An offset into the inside of a compressed message means nothing to somebody who looks at its outside.
tl::unexpected<Error> TextDecoder::placed(Error error) const {
  if (compressed_) error.what += " (after decompression)";
  return tl::make_unexpected(std::move(error));
}

}  // namespace fieldpipe::flexconnect
