// SPDX-License-Identifier: MIT
#include "memfault/coredump.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace fieldpipe::memfault {
namespace {

constexpr std::uint32_t kHeaderMagic = 0x45524F43;  // CORE
constexpr std::uint32_t kFooterMagic = 0x504D5544;  // DUMP
constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kFooterBytes = 16;
constexpr std::size_t kBlockHeaderBytes = 12;

constexpr std::array<std::string_view, 13> kBlockTypes = {
    "CurrentRegisters", "MemoryRegion", "DeviceSerial", "FirmwareVersion", "HardwareVersion", "TraceReason", "Padding",
    "MachineType",      "VendorEspIdf", "ArmMpu",       "SoftwareVersion", "SoftwareType",    "BuildId"};

constexpr std::array<std::string_view, 19> kCortexM = {"r0",  "r1",  "r2",  "r3", "r4", "r5", "r6",  "r7",  "r8", "r9",
                                                       "r10", "r11", "r12", "sp", "lr", "pc", "psr", "msp", "psp"};
constexpr std::array<std::string_view, 37> kRiscV = {
    "mepc", "ra", "sp", "gp", "tp", "t0", "t1",      "t2",    "t3",     "t4",    "t5",     "t6", "s0",
    "s1",   "s2", "s3", "s4", "s5", "s6", "s7",      "s8",    "s9",     "s10",   "s11",    "a0", "a1",
    "a2",   "a3", "a4", "a5", "a6", "a7", "mstatus", "mtvec", "mcause", "mtval", "mhartid"};

constexpr std::uint32_t kArm = 40;
constexpr std::uint32_t kRiscVMachine = 243;

struct Machine {
  std::uint32_t value;
  std::string_view name;
};
constexpr std::array kMachines = std::to_array<Machine>({{0, "None"},
                                                         {3, "x86"},
                                                         {kArm, "Arm"},
                                                         {94, "Xtensa"},
                                                         {183, "AArch64"},
                                                         {kRiscVMachine, "RISC-V"},
                                                         {1U << 16U | kArm, "Arm Cortex-R"},
                                                         {1U << 16U | 94U, "Xtensa ESP8266"},
                                                         {2U << 16U | 94U, "Xtensa ESP32-S2"},
                                                         {3U << 16U | 94U, "Xtensa ESP32-S3"}});

std::uint32_t word(Bytes bytes, std::size_t at) { return load_le<std::uint32_t>(bytes.data() + at); }

}  // namespace

std::string_view print_block_type(BlockType type) {
  const auto index = static_cast<std::size_t>(type);
  return index < kBlockTypes.size() ? kBlockTypes[index] : std::string_view();
}

std::optional<Bytes> Coredump::find(BlockType type) const {
  const auto found = std::ranges::find(blocks, type, &Block::type);
  return found != blocks.end() ? std::optional(found->data) : std::nullopt;
}

std::optional<std::uint32_t> Coredump::find_number(BlockType type) const {
  const auto data = find(type);
  if (!data || data->size() != sizeof(std::uint32_t)) return std::nullopt;
  return word(*data, 0);
}

Result<Coredump> decode_coredump(Bytes bytes) {
  if (bytes.size() < kHeaderBytes)
    return fail_at(bytes.size(), ErrorCode::kBadData, fmt::format("coredump of {} bytes has no header", bytes.size()));
  if (word(bytes, 0) != kHeaderMagic)
    return fail_at(0, ErrorCode::kBadData, fmt::format("coredump begins with {:#010x}, not with CORE", word(bytes, 0)));
  Coredump dump;
  dump.version = word(bytes, 4);
  dump.total_bytes = word(bytes, 8);
  if (dump.version != 1 && dump.version != 2)
    return fail_at(4, ErrorCode::kBadData, fmt::format("coredump of version {}, known are 1 and 2", dump.version));
  const auto damaged = [&](std::size_t at, std::string what) {
    dump.damage = Error{ErrorCode::kBadData, std::move(what), {}, at};
    return std::move(dump);
  };
  std::size_t end = bytes.size();
  std::optional<std::string> no_footer;
  if (dump.total_bytes != bytes.size()) {
    no_footer = fmt::format("coredump of {} bytes, its header says {}", bytes.size(), dump.total_bytes);
    end = std::min<std::size_t>(end, dump.total_bytes);
  }
  if (dump.version == 2) {
    if (end < kHeaderBytes + kFooterBytes || word(bytes, end - kFooterBytes) != kFooterMagic) {
      if (!no_footer) no_footer = "coredump without its footer";
    } else {
      end -= kFooterBytes;
      dump.truncated = (word(bytes, end + 4) & 1U) != 0;
    }
  }
  for (std::size_t at = kHeaderBytes; at < end;) {
    if (end - at < kBlockHeaderBytes)
      return damaged(at, fmt::format("{} bytes behind the last block of a coredump", end - at));
    if (dump.blocks.size() == kMaxBlocks)
      return damaged(at, fmt::format("more blocks in a coredump than the limit of {}", kMaxBlocks));
    const std::uint32_t length = word(bytes, at + 8);
    const Block block{static_cast<BlockType>(bytes[at]), word(bytes, at + 4), {}};
    at += kBlockHeaderBytes;
    if (length > end - at)
      return damaged(at - 4, fmt::format("block of {} bytes in a coredump, {} follow", length, end - at));
    dump.blocks.push_back({block.type, block.address, bytes.subspan(at, length)});
    at += length;
  }
  if (no_footer) return damaged(end, *std::move(no_footer));
  return dump;
}

std::string_view print_machine(std::uint32_t machine) {
  const auto* const found = std::ranges::find(kMachines, machine, &Machine::value);
  return found != kMachines.end() ? found->name : std::string_view();
}

std::span<const std::string_view> register_names(std::uint32_t machine, std::size_t words) {
  if (machine == kArm && words == kCortexM.size()) return kCortexM;
  if (machine == kRiscVMachine && words == kRiscV.size()) return kRiscV;
  return {};
}

}  // namespace fieldpipe::memfault
