// SPDX-License-Identifier: MIT
// Group 1: firmware images. zephyrproject-rtos/zephyr doc/services/device_mgmt/smp_groups/smp_group_1.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "smp/message.h"

namespace fieldpipe::smp::image {

// A slot that holds an image. Frugal builds leave out what is false.
struct Slot {
  std::uint32_t image = 0;
  std::uint32_t slot = 0;
  std::string version;             // `1.2.3`, or `1.2.3.4` with a build
  std::optional<ByteString> hash;  // of the hash TLV, not of the file
  bool bootable = false;
  bool pending = false;
  bool confirmed = false;
  bool active = false;
  bool permanent = false;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f.sparse("image", self.image);
    f("slot", self.slot);
    f("version", self.version);
    f("hash", self.hash);
    f.lenient("bootable", self.bootable);
    f.lenient("pending", self.pending);
    f.lenient("confirmed", self.confirmed);
    f.lenient("active", self.active);
    f.lenient("permanent", self.permanent);
  }
};

// The images of all slots.
struct State {
  std::vector<Slot> images;
  std::optional<std::int64_t> split_status;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("images", self.images);
    f("splitStatus", self.split_status);
  }
};

// Asks for them.
struct ReadState {
  static constexpr Command kCommand{Group::kImage, 0, Op::kRead};
  using Request = Nothing;
  using Response = State;
};

// A hash alone marks that image for a test, with `confirm` for good; `confirm` alone confirms the running image.
struct WriteState {
  static constexpr Command kCommand{Group::kImage, 0, Op::kWrite};
  struct Request {
    std::optional<ByteString> hash;
    bool confirm = false;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("hash", self.hash);
      f.sparse("confirm", self.confirm);
    }
  };
  using Response = State;
};

// One part of a file. Only the first one has more than offset and data.
struct Upload {
  static constexpr Command kCommand{Group::kImage, 1, Op::kWrite};
  struct Request {
    std::uint32_t image = 0;
    std::optional<std::uint64_t> offset;
    std::optional<std::uint64_t> length;  // of the file
    std::optional<ByteString> sha;        // SHA-256 of the file, which names the upload
    ByteString data;
    bool upgrade = false;  // refuse what is not newer

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f.sparse("image", self.image);
      f("off", self.offset);
      f("len", self.length);
      f("sha", self.sha);
      f.lenient("data", self.data);
      f.sparse("upgrade", self.upgrade);
    }
  };
  struct Response {
    std::optional<std::uint64_t> offset;  // where to go on
    std::optional<bool> match;            // after the last part: whether the slot holds the file

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("off", self.offset);
      f("match", self.match);
    }
  };
};

// Erases a slot, which may take as long as its flash does.
struct Erase {
  static constexpr Command kCommand{Group::kImage, 5, Op::kWrite};
  struct Request {
    std::optional<std::uint32_t> slot;  // the device's default is 1

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("slot", self.slot);
    }
  };
  using Response = Nothing;
};

// A slot and its size in bytes; the image number by which an upload reaches it.
struct SlotInfo {
  std::uint32_t slot = 0;
  std::uint64_t size = 0;
  std::optional<std::uint32_t> upload_image_id;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("slot", self.slot);
    f("size", self.size);
    f("upload_image_id", self.upload_image_id);
  }
};

// The slots of an image; `max_image_size` in bytes.
struct ImageInfo {
  std::uint32_t image = 0;
  std::vector<SlotInfo> slots;
  std::optional<std::uint64_t> max_image_size;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("image", self.image);
    f("slots", self.slots);
    f("max_image_size", self.max_image_size);
  }
};

// The slots of the device, with an image in them or not.
struct ReadSlots {
  static constexpr Command kCommand{Group::kImage, 6, Op::kRead};
  using Request = Nothing;
  struct Response {
    std::vector<ImageInfo> images;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("images", self.images);
    }
  };
};

}  // namespace fieldpipe::smp::image
