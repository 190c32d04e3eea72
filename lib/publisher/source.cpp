// SPDX-License-Identifier: MIT
#include "publisher/source.h"

#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "mqtt/envelope.h"

namespace fieldpipe::publisher {

Source Source::repeated(std::string payload, std::uint64_t times, std::chrono::nanoseconds delay) {
  return Source(Repeated{std::move(payload), times, delay});
}

Source Source::records(io::Input input, record::Framing framing, std::size_t max_record_bytes) {
  return Source(Stream{std::move(input), record::Splitter(framing, max_record_bytes), 0, std::nullopt, {}});
}

Source Source::envelopes(io::Input input, std::size_t max_record_bytes) {
  return Source(
      Stream{std::move(input), record::Splitter(record::Framing::kLines, max_record_bytes), 0, json::Reader(), {}});
}

Result<std::optional<Record>> Source::next() {
  auto record = std::visit([this](auto& kind) { return next(kind); }, kind_);
  if (record && *record) ++count_;
  return record;
}

Result<std::optional<Record>> Source::next(Repeated& repeated) {
  const MonotonicTime now = monotonic_now();
  if (repeated.left == 0 || now < repeated.ready_at) return std::optional<Record>();
  --repeated.left;
  repeated.ready_at = now + repeated.delay;
  return std::optional<Record>({as_bytes(repeated.payload), nullptr, std::nullopt, std::nullopt, {}});
}

Result<std::optional<Record>> Source::next(Stream& stream) {
  stream.input.consume(std::exchange(stream.used_bytes, 0));
  auto step = stream.splitter.next(stream.input.window(), stream.input.at_end());
  if (!step) return tl::make_unexpected(std::move(step).error().in(stream.input.name()));
  if (!step->record) {
    stream.input.consume(step->used_bytes);
    return std::optional<Record>();
  }
  stream.used_bytes = step->used_bytes;
  if (!stream.reader) return std::optional<Record>({*step->record, nullptr, std::nullopt, std::nullopt, {}});
  auto envelope = record::parse_envelope(*stream.reader, as_text(*step->record));
  if (!envelope) {
    return tl::make_unexpected(
        std::move(envelope).error().in(fmt::format("record {}", stream.splitter.count())).in(stream.input.name()));
  }
  stream.envelope = *std::move(envelope);
  return std::optional<Record>({as_bytes(stream.envelope.payload), &stream.envelope.topic, stream.envelope.qos,
                                stream.envelope.retain, mqtt::publish_properties(stream.envelope.properties)});
}

bool Source::at_end() const {
  if (const auto* repeated = std::get_if<Repeated>(&kind_)) return repeated->left == 0;
  const Stream& stream = std::get<Stream>(kind_);
  return stream.input.at_end() && stream.input.window().size() <= stream.used_bytes;
}

int Source::descriptor() const {
  const auto* stream = std::get_if<Stream>(&kind_);
  return stream != nullptr && !stream->input.at_end() ? stream->input.descriptor() : -1;
}

std::optional<MonotonicTime> Source::ready_at() const {
  const auto* repeated = std::get_if<Repeated>(&kind_);
  if (repeated == nullptr || repeated->left == 0) return std::nullopt;
  return repeated->ready_at;
}

Result<void> Source::read_more() {
  Stream& stream = std::get<Stream>(kind_);
  stream.input.consume(std::exchange(stream.used_bytes, 0));
  return stream.input.read_more();
}

Result<std::optional<std::string>> read_whole(io::Loop& loop, io::Input& input, std::size_t max_bytes) {
  while (!input.at_end()) {
    loop.watch(input.descriptor(), POLLIN);
    if (auto waited = loop.wait(std::nullopt); !waited) return fail(std::move(waited));
    if (loop.stop_signal()) return std::optional<std::string>();
    if (!loop.ready(input.descriptor(), POLLIN)) continue;
    if (auto read = input.read_more(); !read) return fail(std::move(read));
    if (input.window().size() > max_bytes) {
      return fail(ErrorCode::kBadData,
                  fmt::format("{}: longer than the limit of {}", input.name(), print_size(max_bytes)), "--max-record");
    }
  }
  return std::optional<std::string>(as_text(input.window()));
}

}  // namespace fieldpipe::publisher
