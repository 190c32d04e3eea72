// SPDX-License-Identifier: MIT
// Group 8: files. zephyrproject-rtos/zephyr doc/services/device_mgmt/smp_groups/smp_group_8.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "smp/message.h"

namespace fieldpipe::smp::fs {

// A part of a file of the device, from an offset in bytes on, as large as the device likes.
struct Download {
  static constexpr Command kCommand{Group::kFs, 0, Op::kRead};
  struct Request {
    std::string name;
    std::uint64_t offset = 0;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("off", self.offset);
    }
  };
  struct Response {
    std::uint64_t offset = 0;
    ByteString data;
    std::optional<std::uint64_t> length;  // of the file, with the first part

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("off", self.offset);
      f("data", self.data);
      f("len", self.length);
    }
  };
};

// A part of a file to the device. Offset 0 begins the file anew.
struct Upload {
  static constexpr Command kCommand{Group::kFs, 0, Op::kWrite};
  struct Request {
    std::string name;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length;  // of the file, with the first part
    ByteString data;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("off", self.offset);
      f("len", self.length);
      f("data", self.data);
    }
  };
  struct Response {
    std::uint64_t offset = 0;  // where to go on

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("off", self.offset);
    }
  };
};

// The length of a file in bytes.
struct Status {
  static constexpr Command kCommand{Group::kFs, 1, Op::kRead};
  using Request = ByName;
  struct Response {
    std::uint64_t length = 0;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("len", self.length);
    }
  };
};

// A checksum of a file, or of `length` bytes of it; without a type the device chooses.
struct Hash {
  static constexpr Command kCommand{Group::kFs, 2, Op::kRead};
  struct Request {
    std::string name;
    std::optional<std::string> type;
    std::optional<std::uint64_t> offset;
    std::optional<std::uint64_t> length;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("name", self.name);
      f("type", self.type);
      f("off", self.offset);
      f("len", self.length);
    }
  };
  struct Response {
    std::string type;
    std::optional<std::uint64_t> offset;  // where it is not 0
    std::uint64_t length = 0;
    cbor::Value output;  // a number or bytes

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("type", self.type);
      f("off", self.offset);
      f("len", self.length);
      f("output", self.output);
    }
  };
};

// What a kind of checksum gives: a number or bytes, and how many bytes it has.
struct HashType {
  std::uint64_t format = 0;  // 0 number, 1 bytes
  std::uint64_t size = 0;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("format", self.format);
    f("size", self.size);
  }
};

// The kinds of checksums by name.
struct HashTypes {
  static constexpr Command kCommand{Group::kFs, 3, Op::kRead};
  using Request = Nothing;
  struct Response {
    Named<HashType> types;

    template <typename Self, typename Fields>
    static void fields(Self& self, Fields& f) {
      f("types", self.types);
    }
  };
};

// Closes the file that a transfer has left open.
struct Close {
  static constexpr Command kCommand{Group::kFs, 4, Op::kWrite};
  using Request = Nothing;
  using Response = Nothing;
};

}  // namespace fieldpipe::smp::fs
