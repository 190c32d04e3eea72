// SPDX-License-Identifier: MIT
// A device that speaks SMP as Zephyr 4.4 does, without the device: packets in, packets out, time passed in. The
// answers are those of recorded servers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "smp/os.h"
#include "smp/packet.h"
#include "smp_device/answer.h"
#include "smp_device/files.h"
#include "smp_device/settings.h"
#include "smp_device/slots.h"

namespace fieldpipe::smp_device {

// A command that a device lacks, or with no `id` a whole group.
struct Missing {
  smp::Group group = smp::Group::kOs;
  std::optional<std::uint8_t> id;
};

// What the device is made of.
struct Profile {
  std::string serial;
  std::string hardware_version;
  std::string software_type;
  std::string current_version;             // of the first image; later ones have the version of their header
  std::optional<std::string> project_key;  // nothing: none was configured
  bool denies_memfault = false;            // the application refuses group 128
  std::string image;                       // runs first, and was checked
  std::size_t slot_bytes = std::size_t{512} * 1024;
  bool test_crashes = false;  // an image under test does not come up, and MCUboot goes back
  std::uint32_t buffer_bytes = 384;
  std::uint32_t buffers = 4;
  std::chrono::nanoseconds reset_delay = std::chrono::milliseconds(250);  // from the answer to the reset
  std::chrono::nanoseconds boot_time = std::chrono::seconds(1);           // until it answers again
  std::vector<Missing> missing;
};

class Device {
 public:
  Device(Profile profile, MonotonicTime now);

  // Appends the answers to the requests in one buffer, of which there may be several; none while the device starts.
  void receive(Bytes buffer, MonotonicTime now, std::vector<std::string>& answers);

  // What happens by itself: a reset that was asked for, the end of a start. deadline() is when there is something.
  void advance(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // The power fails and comes back: what was in memory is lost.
  void restart(MonotonicTime now);

  // Whether it can be spoken to.
  [[nodiscard]] bool runs() const { return state_ != State::kStarting; }

  // What a buffer holds: the boot loader has others than the firmware.
  [[nodiscard]] std::uint32_t buffer_bytes() const;

  // Starts since it was made.
  [[nodiscard]] std::uint64_t starts() const { return starts_; }

 private:
  enum class State : std::uint8_t { kStarting, kFirmware, kRecovery };
  struct Row;
  struct Serving;
  struct Table;

  Answer serve(const smp::Header& header, Bytes payload);
  Answer serve_recovery(const smp::Header& header, Bytes payload);
  [[nodiscard]] bool is_missing(smp::Group group, std::uint8_t id) const;

  Answer echo(const smp::os::Echo::Request& request);
  Answer tasks();
  Answer pools();
  Answer read_clock();
  Answer set_clock(const smp::os::WriteDateTime::Request& request);
  Answer reset(const smp::os::Reset::Request& request);
  Answer parameters();
  Answer info(const smp::os::Info::Request& request);
  Answer boot_loader(const smp::os::BootLoader::Request& request);
  Answer list_statistics();
  Answer read_statistics(const std::string& name);
  Answer execute(const std::vector<std::string>& arguments);
  Answer describe_groups(const std::optional<std::vector<std::uint16_t>>& wanted);
  [[nodiscard]] std::vector<std::uint16_t> groups() const;
  Answer device_info();
  Answer project_key();

  Profile profile_;
  Slots slots_;
  Files files_;
  Settings settings_;
  State state_ = State::kFirmware;
  MonotonicTime now_;      // of the request that is being answered
  MonotonicTime started_;  // or will have, while it starts
  std::optional<MonotonicTime> resets_;
  bool stays_in_boot_loader_ = false;  // with that reset
  std::uint64_t starts_ = 0;
  std::optional<WallTime> clock_;  // as it was set
  MonotonicTime clock_set_{};
};

}  // namespace fieldpipe::smp_device
