// SPDX-License-Identifier: MIT
#include "uplink_service/streams.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "uplink/action.h"

namespace fieldpipe::uplink_service {

Streams::Streams(const uplink::Configuration& configuration, const uplink::Device& device, spool::Spool& data,
                 spool::Spool& statuses, spool::OnFull on_full)
    : configuration_(configuration), device_(device), on_full_(on_full), data_(data), statuses_(statuses) {
  for (const uplink::StreamSettings& settings : configuration_.streams) {
    if (uplink::check_stream_name(settings.name)) add(settings);
  }
  status_ = streams_.find(uplink::kResponseStream)->second.get();
  // What an earlier run accepted and could not deliver goes out under whatever configuration there is now.
  std::vector<std::string> kept;
  for (const spool::LaneSummary& lane : data_.lanes()) kept.emplace_back(lane.lane);
  for (std::string& name : kept) {
    if (streams_.contains(name)) continue;
    uplink::StreamSettings settings;
    settings.name = std::move(name);
    add(std::move(settings));
  }
}

Stream& Streams::add(uplink::StreamSettings settings) {
  const bool is_status = settings.name == uplink::kResponseStream;
  std::string topic = uplink::stream_topic(settings, device_);
  std::string name = settings.name;
  // A stream in memory whose points an earlier run had in the spool has that emptied first.
  const bool spooled = settings.durable || data_.find_lane(name);
  spool::Spool* const spool = is_status ? &statuses_ : spooled ? &data_ : nullptr;
  auto stream = std::make_unique<Stream>(std::move(settings), std::move(topic), configuration_.max_packet_size,
                                         configuration_.prioritize_live_data, spool);
  const auto key = [](const Stream* s) { return std::tuple(-s->settings().priority, std::string_view(s->topic())); };
  const auto place = std::upper_bound(ordered_.begin(), ordered_.end(), stream.get(),
                                      [&](const Stream* a, const Stream* b) { return key(a) < key(b); });
  ordered_.insert(place, stream.get());
  ++counts_.streams;
  return *(streams_[std::move(name)] = std::move(stream));
}

Result<Stream*> Streams::find(std::string_view name) {
  if (const auto found = streams_.find(name); found != streams_.end()) return found->second.get();
  if (unnamed_ >= configuration_.max_stream_count) {
    return fail(ErrorCode::kBadData, fmt::format("stream {} would be one more than max_stream_count = {}",
                                                 printable(name), configuration_.max_stream_count));
  }
  ++unnamed_;
  uplink::StreamSettings settings;
  settings.name = name;
  return &add(std::move(settings));
}

Result<void> Streams::append(const uplink::Payload& point) {
  auto stream = find(point.stream);
  if (!stream) return fail(std::move(stream));
  scratch_.clear();
  uplink::append_point(scratch_, point);
  auto appended = append(**stream, scratch_);
  // The spool has counted it.
  if (!appended && appended.error().code == ErrorCode::kUnavailable && on_full_ == spool::OnFull::kDropNewest)
    return {};
  return appended;
}

Result<void> Streams::append_status(std::string_view point) { return append(*status_, point); }

Result<void> Streams::append(Stream& stream, std::string_view point) {
  const bool first = stream.staged() == 0;
  if (auto appended = stream.append(point); !appended) {
    Error error = std::move(appended).error();
    // A lane that has had its share, or a spool without room: both wait for deliveries.
    if (error.code == ErrorCode::kRefused) error.code = ErrorCode::kUnavailable;
    return tl::make_unexpected(std::move(error));
  }
  if (first) touched_.push_back(&stream);
  return {};
}

Result<spool::Sequence> Streams::append_note(std::string_view lane, Bytes note) { return statuses_.append(lane, note); }

Streams::Committed Streams::commit(MonotonicTime now) {
  Committed committed{data_.commit(), statuses_.commit()};
  for (Stream* stream : touched_) {
    if (stream == status_ ? committed.statuses : committed.points) {
      counts_.accepted += stream->staged();
      stream->accept(now);
    } else {
      stream->discard();
    }
  }
  touched_.clear();
  return committed;
}

void Streams::flush(MonotonicTime now, bool all) {
  for (Stream* stream : ordered_) {
    if (all || (stream->flush_at() && *stream->flush_at() <= now)) stream->flush(now);
  }
}

std::optional<MonotonicTime> Streams::flush_at() const {
  std::optional<MonotonicTime> first;
  for (const Stream* stream : ordered_) {
    if (stream->flush_at() && (!first || *stream->flush_at() < *first)) first = stream->flush_at();
  }
  return first;
}

Result<std::optional<Ticket>> Streams::next(bool live_only) {
  Stream* chosen = nullptr;
  if (configuration_.prioritize_live_data) {
    for (Stream* stream : ordered_) {
      if (stream->live_since() && (chosen == nullptr || *stream->live_since() < *chosen->live_since())) chosen = stream;
    }
  }
  if (chosen != nullptr) {
    auto message = chosen->take();
    if (!message) return fail(std::move(message));
    return Ticket{chosen, **std::move(message)};
  }
  Result<std::optional<Ticket>> nothing;
  for (Stream* stream : ordered_) {
    if (live_only ? !stream->has_live() : !stream->has_message()) continue;
    auto message = stream->take();
    if (message && *message) return Ticket{stream, **std::move(message)};
    if (!message) nothing = fail(std::move(message));
  }
  return nothing;
}

void Streams::finish(const Ticket& ticket, spool::Outcome outcome) {
  ticket.stream->finish(ticket.message, outcome);
  if (outcome != spool::Outcome::kDelivered) return;
  counts_.delivered += ticket.message.points;
  ++counts_.messages;
}

void Streams::settle() {
  for (Stream* stream : ordered_) stream->settle();
}

void Streams::requeue(std::vector<Ticket> tickets) {
  for (Stream* stream : ordered_) stream->requeue();
  for (auto ticket = tickets.rbegin(); ticket != tickets.rend(); ++ticket) {
    if (ticket->message.range.last == 0) ticket->stream->take_back(std::move(ticket->message));
  }
}

bool Streams::idle() const {
  return std::all_of(ordered_.begin(), ordered_.end(), [](const Stream* stream) { return stream->idle(); });
}

Streams::Counts Streams::counts() const {
  Counts counts = counts_;
  for (const Stream* stream : ordered_) {
    counts.in_memory += stream->in_memory();
    counts.dropped += stream->dropped();
    counts.dropped_delivered += stream->dropped_delivered();
  }
  return counts;
}

}  // namespace fieldpipe::uplink_service
