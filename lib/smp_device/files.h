// SPDX-License-Identifier: MIT
// The file group over a small file system in memory, mounted at /lfs1. zephyrproject-rtos/zephyr
// subsys/mgmt/mcumgr/grp/fs_mgmt/src/fs_mgmt.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "smp/fs.h"
#include "smp_device/answer.h"

namespace fieldpipe::smp_device {

class Files {
 public:
  // What all files and their names may take together.
  static constexpr std::size_t kRoomBytes = std::size_t{1} << 20U;

  // Downloads come in parts of `part_bytes`.
  explicit Files(std::size_t part_bytes) : part_bytes_(part_bytes) {}

  // The commands of the group. Failures are the codes of fs_mgmt.h.
  [[nodiscard]] Answer download(const smp::fs::Download::Request& request) const;
  Answer upload(const smp::fs::Upload::Request& request);
  [[nodiscard]] Answer status(const smp::fs::Status::Request& request) const;
  [[nodiscard]] Answer hash(const smp::fs::Hash::Request& request) const;
  [[nodiscard]] Answer hash_types() const;

  // Ends the upload that is open, if one is. A start of the device does, too.
  Answer close();

 private:
  struct Upload {
    std::string name;
    std::uint64_t length = 0;
  };

  [[nodiscard]] tl::expected<const std::string*, Failure> find(const std::string& name) const;
  [[nodiscard]] std::size_t used_bytes() const;

  std::size_t part_bytes_;
  std::map<std::string, std::string> files_;
  std::optional<Upload> open_;
};

}  // namespace fieldpipe::smp_device
