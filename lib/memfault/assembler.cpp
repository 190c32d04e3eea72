// SPDX-License-Identifier: MIT
#include "memfault/assembler.h"

#include <algorithm>
#include <cstring>

#include "digest/crc16.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::size_t kCrcBytes = 2;

}  // namespace

std::optional<Message> MessageAssembly::take(Bytes bytes, std::uint64_t record, std::vector<Fault>& faults) {
  auto decoded = decode_chunk(bytes);
  if (auto* fault = std::get_if<Fault>(&decoded)) {
    fault->record = record;
    // A chunk of the message at hand, most likely.
    if (state_ == State::kOpen && !bytes.empty() && (bytes[0] & std::byte{0x80}) != std::byte{0}) told_ = true;
    faults.push_back(*fault);
    return std::nullopt;
  }
  const Chunk& chunk = std::get<Chunk>(decoded);
  return chunk.first ? begin(chunk, record, faults) : go_on(chunk, bytes.size(), record, faults);
}

std::optional<Message> MessageAssembly::begin(const Chunk& chunk, std::uint64_t record, std::vector<Fault>& faults) {
  const Bytes data = chunk.more ? chunk.rest.first(std::min<std::size_t>(chunk.rest.size(), chunk.total)) : chunk.rest;
  const bool same = state_ == State::kOpen && chunk.more && chunk.total == total_ && !data.empty() &&
                    std::memcmp(data.data(), message_.data(), std::min(data.size(), message_.size())) == 0;
  bool displaces = false;
  if (same) {
    faults.push_back({FaultKind::kRestart, record, 0, 0});
  } else if (state_ == State::kOpen) {
    displaces = true;
    tell_once(faults, {FaultKind::kSuperseded, record, message_.size(), total_});
    ++lost_;
  }
  give_up();
  if (!chunk.more) {
    // The size of the message is that of the chunk.
    const std::size_t crc_bytes = chunk.crc ? 0 : kCrcBytes;
    if (data.size() <= crc_bytes) {
      faults.push_back({FaultKind::kShortChunk, record, data.size() + 1, 0});
      return std::nullopt;
    }
    const Bytes message = data.first(data.size() - crc_bytes);
    if (message.size() > max_message_bytes_) {
      ++lost_;
      faults.push_back({FaultKind::kTooLarge, record, message.size(), max_message_bytes_});
      return std::nullopt;
    }
    chunks_ = 1;
    return complete(message, chunk.crc ? *chunk.crc : load_le<std::uint16_t>(&data[message.size()]), record, faults);
  }
  if (chunk.total > max_message_bytes_ || chunk.total == 0) {
    state_ = State::kSkipped;
    ++lost_;
    faults.push_back(chunk.total == 0 ? Fault{FaultKind::kShortMessage, record, 0, 0}
                                      : Fault{FaultKind::kTooLarge, record, chunk.total, max_message_bytes_});
    return std::nullopt;
  }
  state_ = State::kOpen;
  crc_in_front_ = chunk.crc_in_front;
  displaced_ = displaces;
  total_ = chunk.total;
  first_record_ = record;
  crc_ = chunk.crc;
  chunks_ = 1;
  message_.assign(as_text(data));
  return std::nullopt;
}

std::optional<Message> MessageAssembly::go_on(const Chunk& chunk, std::size_t chunk_bytes, std::uint64_t record,
                                              std::vector<Fault>& faults) {
  if (state_ == State::kSkipped) return std::nullopt;
  const std::size_t room = chunk.offset <= total_ ? total_ - chunk.offset : 0;
  const Bytes data = chunk.rest.first(std::min(chunk.rest.size(), room));
  if (state_ != State::kOpen) {
    // A message that is done is followed by repeated chunks at most.
    const bool repeated = state_ == State::kDone && chunk.offset <= total_ &&
                          std::memcmp(data.data(), message_.data() + chunk.offset, data.size()) == 0;
    faults.push_back({repeated ? FaultKind::kDuplicate : FaultKind::kOrphanContinuation, record, chunk.offset, 0});
    return std::nullopt;
  }
  const auto refuse = [&](Fault fault) {
    told_ = true;
    faults.push_back(fault);
    return std::nullopt;
  };
  if (chunk.offset > total_) return refuse({FaultKind::kOffsetOutOfRange, record, chunk.offset, total_});
  if (!chunk.more) {
    if (data.size() < room) {
      return refuse({FaultKind::kShortMessage, record, chunk.offset + data.size(), total_});
    }
    const std::size_t crc_bytes = crc_in_front_ ? 0 : kCrcBytes;
    if (chunk.rest.size() < room + crc_bytes) return refuse({FaultKind::kShortChunk, record, chunk_bytes, 0});
    if (!crc_in_front_) crc_ = load_le<std::uint16_t>(chunk.rest.data() + room);
    padding_bytes_ = chunk.rest.size() - room - crc_bytes;
  }
  const bool news = place(chunk.offset, data, record, faults) || (!chunk.more && !ended_);
  ended_ = ended_ || !chunk.more;
  if (news) ++chunks_;
  if (!ended_ || message_.size() < total_) return std::nullopt;
  return complete(as_bytes(message_), *crc_, record, faults);
}

// Whether it had bytes that were not held.
bool MessageAssembly::place(std::size_t offset, Bytes data, std::uint64_t record, std::vector<Fault>& faults) {
  if (offset > message_.size()) {
    tell_once(faults, {FaultKind::kGap, record, offset, message_.size()});
    if (data.empty() || late_.size() == kMaxLateChunks || late_bytes_ + data.size() > total_) return false;
    const auto [at, is_new] = late_.try_emplace(offset, as_text(data));
    if (is_new) late_bytes_ += data.size();
    return is_new;
  }
  const Bytes held = as_bytes(message_).subspan(offset);
  const std::size_t common = std::min(held.size(), data.size());
  const bool differs = !std::equal(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(common), held.begin());
  if (differs) {
    faults.push_back(std::exchange(displaced_, false) ? Fault{FaultKind::kInterleaved, first_record_, 0, 0}
                                                      : Fault{FaultKind::kConflict, record, offset, 0});
  } else if (common == data.size() && !data.empty()) {
    faults.push_back({FaultKind::kDuplicate, record, offset, 0});
  }
  if (common == data.size()) return false;
  message_.append(as_text(data.subspan(common)));
  take_late();
  return true;
}

// Moves what is no longer behind a gap.
void MessageAssembly::take_late() {
  while (!late_.empty() && late_.begin()->first <= message_.size()) {
    const auto first = late_.extract(late_.begin());
    late_bytes_ -= first.mapped().size();
    const std::size_t held = message_.size() - first.key();
    if (held < first.mapped().size()) message_.append(first.mapped(), held);
  }
}

std::optional<Message> MessageAssembly::complete(Bytes bytes, std::uint16_t sent, std::uint64_t record,
                                                 std::vector<Fault>& faults) {
  const std::uint16_t crc = digest::crc16(0, bytes);
  if (crc != sent) {
    faults.push_back({FaultKind::kCrcMismatch, record, crc, sent});
    ++lost_;
    give_up();
    return std::nullopt;
  }
  if (state_ == State::kOpen) state_ = State::kDone;
  late_.clear();
  late_bytes_ = 0;
  return Message{bytes, crc, record, chunks_, padding_bytes_};
}

void MessageAssembly::finish(std::uint64_t record, std::vector<Fault>& faults) {
  if (state_ == State::kOpen) {
    tell_once(faults, {FaultKind::kIncomplete, record, message_.size(), total_});
    ++lost_;
  }
  give_up();
}

// Forgets the message.
void MessageAssembly::give_up() {
  state_ = State::kNone;
  ended_ = false;
  told_ = false;
  displaced_ = false;
  chunks_ = 0;
  padding_bytes_ = 0;
  crc_.reset();
  std::string().swap(message_);  // also its memory: there may be many devices
  late_.clear();
  late_bytes_ = 0;
}

void MessageAssembly::tell_once(std::vector<Fault>& faults, Fault fault) {
  if (!std::exchange(told_, true)) faults.push_back(fault);
}

DeviceCounts& DeviceCounts::operator+=(const DeviceCounts& other) {
  chunks += other.chunks;
  messages += other.messages;
  lost += other.lost;
  for (std::size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
  return *this;
}

std::optional<Message> Assembler::take(std::string_view name, Bytes chunk, std::uint64_t record) {
  Device& device = find(name, record);
  held_bytes_ -= device.assembly.held_bytes();
  auto message = device.assembly.take(chunk, record, found_);
  held_bytes_ += device.assembly.held_bytes();
  ++device.counts.chunks;
  device.counts.messages += message ? 1 : 0;
  settle(device);
  if (held_bytes_ > max_message_bytes_) make_room(record);
  return message;
}

void Assembler::finish(std::uint64_t record) {
  for (auto device = devices_.rbegin(); device != devices_.rend(); ++device) {
    device->assembly.finish(record, found_);
    settle(*device);
  }
  held_bytes_ = 0;
}

DeviceCounts Assembler::counts() const {
  DeviceCounts all;
  report([&](std::string_view, const DeviceCounts& counts) { all += counts; });
  return all;
}

// Gives up messages, those of the devices that have been silent longest first, but not that of the last one.
void Assembler::make_room(std::uint64_t record) {
  for (auto device = devices_.rbegin(); held_bytes_ > max_message_bytes_ && &*device != &devices_.front(); ++device) {
    held_bytes_ -= device->assembly.held_bytes();
    device->assembly.finish(record, found_);
    settle(*device);
  }
}

// The device of this name, which becomes the one heard of last.
Assembler::Device& Assembler::find(std::string_view name, std::uint64_t record) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    devices_.splice(devices_.begin(), devices_, found->second);
  } else {
    if (devices_.size() == kMaxDevices) drop_oldest(record);
    devices_.push_front({std::string(name), MessageAssembly(max_message_bytes_), {}});
    by_name_.emplace(devices_.front().name, devices_.begin());
  }
  return devices_.front();
}

void Assembler::drop_oldest(std::uint64_t record) {
  Device& device = devices_.back();
  held_bytes_ -= device.assembly.held_bytes();
  device.assembly.finish(record, found_);
  settle(device);
  gone_ += device.counts;
  by_name_.erase(device.name);
  devices_.pop_back();
}

// Counts and keeps the faults that were found.
void Assembler::settle(Device& device) {
  for (const Fault& fault : found_) {
    ++device.counts.faults[static_cast<std::size_t>(fault.kind)];
    faults_.push_back({device.name, fault});
  }
  found_.clear();
  device.counts.lost = device.assembly.lost();
}

}  // namespace fieldpipe::memfault
