// SPDX-License-Identifier: MIT
#include "memfault/reboot_reason.h"

#include <algorithm>
#include <array>

namespace fieldpipe::memfault {
namespace {

struct Reason {
  std::uint64_t value;
  std::string_view name;
};

constexpr std::array kReasons = std::to_array<Reason>({
    {0x0000, "Unknown"},
    {0x0001, "UserShutdown"},
    {0x0002, "UserReset"},
    {0x0003, "FirmwareUpdate"},
    {0x0004, "LowPower"},
    {0x0005, "DebuggerHalted"},
    {0x0006, "ButtonReset"},
    {0x0007, "PowerOnReset"},
    {0x0008, "SoftwareReset"},
    {0x0009, "DeepSleep"},
    {0x000A, "PinReset"},
    {0x000B, "SelfTest"},
    {0x8000, "UnknownError"},
    {0x8001, "Assert"},
    {0x8002, "Watchdog"},
    {0x8003, "BrownOutReset"},
    {0x8004, "Nmi"},
    {0x8005, "HardwareWatchdog"},
    {0x8006, "SoftwareWatchdog"},
    {0x8007, "ClockFailure"},
    {0x8008, "KernelPanic"},
    {0x8009, "FirmwareUpdateError"},
    {0x800A, "OutOfMemory"},
    {0x800B, "StackOverflow"},
    {0x800C, "TaskWatchdog"},
    {0x9100, "BusFault"},
    {0x9200, "MemFault"},
    {0x9300, "UsageFault"},
    {0x9400, "HardFault"},
    {0x9401, "Lockup"},
    {0x9402, "SecurityViolation"},
    {0x9403, "ParityError"},
    {0x9404, "Temperature"},
    {0x9405, "Hardware"},
});

}  // namespace

std::string_view print_reboot_reason(std::uint64_t reason) {
  const auto* const found = std::ranges::find(kReasons, reason, &Reason::value);
  return found != kReasons.end() ? found->name : std::string_view();
}

}  // namespace fieldpipe::memfault
