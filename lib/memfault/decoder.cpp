// SPDX-License-Identifier: MIT
#include "memfault/decoder.h"

#include <iterator>

#include <fmt/format.h>

#include "json/writer.h"

namespace fieldpipe::memfault {
namespace {

using Weight = Remark::Weight;

Weight weight_of(FaultKind kind) {
  if (is_loss(kind)) return Weight::kFault;
  return kind == FaultKind::kGap ? Weight::kNotice : Weight::kDetail;
}

// `,"chunks":6,"lost":1,"faults":{"gap":1}` of what was seen.
void append_counts(std::string& out, const DeviceCounts& counts) {
  fmt::format_to(std::back_inserter(out), "\"lost\":{},\"faults\":", counts.lost);
  char before = '{';
  for (std::size_t i = 0; i < counts.faults.size(); ++i) {
    if (counts.faults[i] == 0) continue;
    fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", std::exchange(before, ','),
                   print_fault_kind(static_cast<FaultKind>(i)), counts.faults[i]);
  }
  out.append(before == '{' ? "{}}}\n" : "}}}\n");
}

}  // namespace

Decoder::Decoder(DecoderOptions options)
    : options_(std::move(options)),
      reader_(options_.input),
      assembler_(options_.max_message_bytes),
      printer_(options_.max_message_bytes) {}

Result<Decoder::Step> Decoder::feed(Bytes window, bool at_end, std::string& out) {
  auto step = reader_.next(window, at_end);
  if (!step) return fail(std::move(step));
  if (step->record == nullptr) return Step{step->used_bytes, true, std::nullopt};
  auto message = take(*step->record, out);
  if (!message) return fail(std::move(message));
  return Step{step->used_bytes, false, *message};
}

Result<std::optional<Message>> Decoder::take(const ChunkRecord& record, std::string& out) {
  if (record.refused()) {
    ++refused_;
    const bool has_line = record.line > 0;
    remark(
        Weight::kFault,
        fmt::format("{} {}: {}", has_line ? "line" : "record", has_line ? record.line : record.number, record.refusal),
        true);
    return std::optional<Message>();
  }
  const std::string_view device = record.device.empty() ? std::string_view(options_.device) : record.device;
  if (options_.to) {
    if (!device_) device_ = device;
    several_devices_ = several_devices_ || *device_ != device;
    if (auto appended = record::append_record(out, *options_.to, record.chunk); !appended)
      return fail(std::move(appended));
    return std::optional<Message>();
  }
  const auto message = assembler_.take(device, record.chunk, record.number);
  note_faults();
  if (message) append_message(out, device, *message);
  return message;
}

void Decoder::append_message(std::string& out, std::string_view device, const Message& message) {
  ++messages_;
  out.push_back('{');
  if (!device.empty()) {
    out.append("\"device\":");
    json::append_string(out, device);
    out.push_back(',');
  }
  fmt::format_to(std::back_inserter(out), "\"record\":{},\"chunks\":{},\"bytes\":{},\"crc\":\"{:04x}\"", message.record,
                 message.chunks, message.bytes.size(), message.crc);
  if (const auto read = printer_.append_members(out, message.bytes); !read) {
    ++unread_;
    remark(Weight::kFault, fmt::format("message {}, record {}: {}", messages_, message.record, read.error().what));
  }
  out.append("}\n");
}

void Decoder::finish() {
  assembler_.finish(reader_.count());
  note_faults();
}

void Decoder::note_faults() {
  for (const DeviceFault& each : assembler_.take_faults()) {
    remark(weight_of(each.fault.kind),
           fmt::format("{}{}{}record {}: {}", each.device.empty() ? "" : "device ", each.device,
                       each.device.empty() ? "" : ": ", each.fault.record, print_fault(each.fault)));
  }
}

void Decoder::remark(Weight weight, std::string text, bool of_input) {
  if (weight == Weight::kFault && ++faults_ > kMaxTold) return;
  if (weight == Weight::kNotice && ++notices_ > kMaxTold) return;
  // What is printed with --verbose only does not pile up either.
  remarks_.push_back({weight, std::move(text), of_input});
}

void Decoder::append_report(std::string& out) const {
  std::uint64_t devices = 0;
  assembler_.report([&](std::string_view device, const DeviceCounts& counts) {
    ++devices;
    out.append("{\"report\":{\"device\":");
    if (device.empty())
      out.append("null");
    else
      json::append_string(out, device);
    fmt::format_to(std::back_inserter(out), ",\"chunks\":{},\"messages\":{},", counts.chunks, counts.messages);
    append_counts(out, counts);
  });
  const DeviceCounts all = assembler_.counts();
  fmt::format_to(
      std::back_inserter(out),
      "{{\"report\":{{\"records\":{},\"refused\":{},\"devices\":{},\"chunks\":{},\"messages\":{},\"unread\":{},",
      reader_.count(), refused_, devices, all.chunks, all.messages, unread_);
  append_counts(out, all);
}

}  // namespace fieldpipe::memfault
