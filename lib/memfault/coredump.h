// SPDX-License-Identifier: MIT
// A coredump as a device saves it (memfault/memfault-firmware-sdk: components/panics/src/memfault_coredump.c).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"

namespace fieldpipe::memfault {

enum class BlockType : std::uint8_t {
  kCurrentRegisters = 0,
  kMemoryRegion = 1,
  kDeviceSerial = 2,
  kFirmwareVersion = 3,  // retired
  kHardwareVersion = 4,
  kTraceReason = 5,
  kPadding = 6,
  kMachineType = 7,
  kVendorEspIdf = 8,
  kArmMpu = 9,
  kSoftwareVersion = 10,
  kSoftwareType = 11,
  kBuildId = 12,
};

// `MemoryRegion`; empty for an unknown type.
std::string_view print_block_type(BlockType type);

struct Block {
  BlockType type{};
  std::uint32_t address = 0;
  Bytes data;
};

// Views of the coredump it was decoded from.
struct Coredump {
  std::uint32_t version = 0;
  std::uint32_t total_bytes = 0;
  bool truncated = false;  // the storage was too small
  std::vector<Block> blocks;
  std::optional<Error> damage;  // where the blocks end too early; those before it are good

  // The content of the first block of a type, nothing where there is none.
  [[nodiscard]] std::optional<Bytes> find(BlockType type) const;

  // Of a block that holds one number, nothing where there is none or another size.
  [[nodiscard]] std::optional<std::uint32_t> find_number(BlockType type) const;
};

// Blocks that a coredump may have; devices write some tens.
inline constexpr std::size_t kMaxBlocks = 4096;

// Decodes a coredump without run-length coding. Fails with kBadData and an offset when it does not begin like one.
Result<Coredump> decode_coredump(Bytes bytes);

// `Arm`, `Xtensa ESP32-S3`; empty for an unknown machine. The low half is the machine of ELF, the high half a variant.
std::string_view print_machine(std::uint32_t machine);

// Names of the words of a register block of `words` words, empty where they are not known.
std::span<const std::string_view> register_names(std::uint32_t machine, std::size_t words);

}  // namespace fieldpipe::memfault
