// SPDX-License-Identifier: MIT
// The two slots of a device: what the image group does with them while firmware runs, and what MCUboot does with them
// when the device starts. zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/grp/img_mgmt/src/, mcu-tools/mcuboot
// docs/design.md (swap using offset).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "smp/image.h"
#include "smp/image_file.h"
#include "smp_device/answer.h"

namespace fieldpipe::smp_device {

// A small image of this version, with nothing in it that could run.
std::string make_image(const smp::ImageVersion& version);

class Slots {
 public:
  // `image` runs and is confirmed; it was checked. Each slot holds `slot_bytes`.
  Slots(std::string image, std::size_t slot_bytes, bool test_crashes);

  // The image group of Zephyr.
  [[nodiscard]] Answer state() const;
  Answer set_state(const smp::image::WriteState::Request& request);
  Answer upload(const smp::image::Upload::Request& request);
  Answer erase(const smp::image::Erase::Request& request);
  [[nodiscard]] Answer info() const;

  // The image group of MCUboot's serial recovery: no flags, straight into slot 0, `rc` 0 with each success.
  [[nodiscard]] Answer recovery_state() const;
  Answer recovery_upload(const smp::image::Upload::Request& request);

  // The power went: an upload is forgotten.
  void lose_memory() { session_.reset(); }

  // MCUboot starts an image: it swaps what is pending, and goes back from what was not confirmed. An image that is
  // damaged is not started, but erased.
  void start();

  // Whether the image that ran first runs, and the version of the one that does.
  [[nodiscard]] bool original_runs() const { return slots_[0] == original_; }
  [[nodiscard]] smp::ImageVersion version() const;

  // Bytes written by uploads, since the device was made.
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  enum class Pending : std::uint8_t { kNo, kTest, kPermanent };

  struct Session {
    std::string sha;
    std::uint64_t length = 0;
  };

  Answer write(std::string& slot, const smp::image::Upload::Request& request, std::uint64_t& offset);
  [[nodiscard]] smp::image::Slot describe(std::uint32_t number) const;

  std::size_t slot_bytes_;
  bool test_crashes_;
  std::array<std::string, 2> slots_;  // empty: erased, or not readable as an image
  std::string original_;
  Pending pending_ = Pending::kNo;  // of slot 1
  bool confirmed_ = true;           // slot 0; otherwise the next start goes back to slot 1
  std::optional<Session> session_;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace fieldpipe::smp_device
