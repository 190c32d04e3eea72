// SPDX-License-Identifier: MIT
// Chunks to messages, for many devices at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "memfault/chunk.h"
#include "memfault/fault.h"

namespace fieldpipe::memfault {

// A message whose CRC is right. Valid until the assembler is called again.
struct Message {
  Bytes bytes;                    // with its header byte
  std::uint16_t crc = 0;          // CRC-16/XMODEM of them
  std::uint64_t record = 0;       // of the chunk that completed it
  std::uint32_t chunks = 0;       // that carried it, repeated ones not counted
  std::size_t padding_bytes = 0;  // filler behind the CRC of its last chunk
};

// The message that one device is sending.
class MessageAssembly {
 public:
  explicit MessageAssembly(std::size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // Takes the chunk of record `record`. Faults are appended to `faults`; of what follows from one fault, as the end
  // that never comes behind a gap, nothing is told.
  std::optional<Message> take(Bytes chunk, std::uint64_t record, std::vector<Fault>& faults);

  // No more chunks come: an unfinished message is a fault.
  void finish(std::uint64_t record, std::vector<Fault>& faults);

  // Messages begun and never finished, or finished with a wrong CRC.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

  // Bytes held in memory for a message.
  [[nodiscard]] std::size_t held_bytes() const { return message_.size() + late_bytes_; }

 private:
  enum class State : std::uint8_t {
    kNone,     // no message begun
    kOpen,     // chunks are missing
    kDone,     // given; kept to tell repeated chunks from orphans
    kSkipped,  // larger than the limit
  };

  // Chunks behind a gap are kept until it is closed, up to this many.
  static constexpr std::size_t kMaxLateChunks = 1024;

  std::optional<Message> begin(const Chunk& chunk, std::uint64_t record, std::vector<Fault>& faults);
  std::optional<Message> go_on(const Chunk& chunk, std::size_t chunk_bytes, std::uint64_t record,
                               std::vector<Fault>& faults);
  bool place(std::size_t offset, Bytes data, std::uint64_t record, std::vector<Fault>& faults);
  void take_late();
  std::optional<Message> complete(Bytes bytes, std::uint16_t sent, std::uint64_t record, std::vector<Fault>& faults);
  void give_up();
  void tell_once(std::vector<Fault>& faults, Fault fault);

  std::size_t max_message_bytes_;
  State state_ = State::kNone;
  bool crc_in_front_ = false;
  bool ended_ = false;      // the last chunk was seen
  bool told_ = false;       // a fault was told that explains the loss of the message
  bool displaced_ = false;  // it displaced an unfinished one
  std::uint32_t total_ = 0;
  std::uint32_t chunks_ = 0;
  std::uint64_t first_record_ = 0;
  std::size_t padding_bytes_ = 0;
  std::optional<std::uint16_t> crc_;
  std::string message_;                      // without gaps, from offset 0
  std::map<std::size_t, std::string> late_;  // behind a gap, by offset
  std::size_t late_bytes_ = 0;
  std::uint64_t lost_ = 0;
};

// What became of the chunks of a device.
struct DeviceCounts {
  std::uint64_t chunks = 0;
  std::uint64_t messages = 0;  // with a right CRC
  std::uint64_t lost = 0;      // messages begun and never finished, or with a wrong CRC
  std::array<std::uint64_t, kFaultKinds> faults{};

  DeviceCounts& operator+=(const DeviceCounts& other);
};

struct DeviceFault {
  std::string device;
  Fault fault;
};

// Assemblies by device. Memory is bounded: all messages in the making together have at most twice `max_message_bytes`,
// and at most kMaxDevices are known; what has been silent longest gives way.
class Assembler {
 public:
  static constexpr std::size_t kMaxDevices = 65'536;

  explicit Assembler(std::size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // Takes the chunk of record `record` of `device`, whose name may be empty.
  std::optional<Message> take(std::string_view device, Bytes chunk, std::uint64_t record);

  // No more chunks come.
  void finish(std::uint64_t record);

  // What was wrong since the last call, in order.
  std::vector<DeviceFault> take_faults() { return std::exchange(faults_, {}); }

  // Calls `sink(device, counts)` for each device in the order in which they were last heard of, the oldest first; then
  // with `*` for those that gave way, if any did.
  template <typename Sink>
  void report(Sink&& sink) const {
    for (auto device = devices_.rbegin(); device != devices_.rend(); ++device) sink(device->name, device->counts);
    if (gone_.chunks > 0) sink(std::string_view("*"), gone_);
  }

  // Of all devices.
  [[nodiscard]] DeviceCounts counts() const;

 private:
  struct Device {
    std::string name;
    MessageAssembly assembly;
    DeviceCounts counts;
  };
  using Devices = std::list<Device>;

  Device& find(std::string_view name, std::uint64_t record);
  void make_room(std::uint64_t record);
  void drop_oldest(std::uint64_t record);
  void settle(Device& device);

  std::size_t max_message_bytes_;
  Devices devices_;  // the one heard of last is the first
  std::unordered_map<std::string_view, Devices::iterator> by_name_;
  std::size_t held_bytes_ = 0;
  DeviceCounts gone_;
  std::vector<Fault> found_;  // of the chunk at hand
  std::vector<DeviceFault> faults_;
};

}  // namespace fieldpipe::memfault
