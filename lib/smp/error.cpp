// SPDX-License-Identifier: MIT
#include "smp/error.h"

#include <array>
#include <span>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::smp {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 14> kGeneral{"EOK",
                                                    "EUNKNOWN",
                                                    "ENOMEM",
                                                    "EINVAL",
                                                    "ETIMEOUT",
                                                    "ENOENT",
                                                    "EBADSTATE",
                                                    "EMSGSIZE",
                                                    "ENOTSUP",
                                                    "ECORRUPT",
                                                    "EBUSY",
                                                    "EACCESSDENIED",
                                                    "UNSUPPORTED_TOO_OLD",
                                                    "UNSUPPORTED_TOO_NEW"};
constexpr std::int64_t kFirstUserCode = 256;

constexpr std::array<std::string_view, 7> kOs{"OK",
                                              "UNKNOWN",
                                              "INVALID_FORMAT",
                                              "QUERY_YIELDS_NO_ANSWER",
                                              "RTC_NOT_SET",
                                              "RTC_COMMAND_FAILED",
                                              "QUERY_RESPONSE_VALUE_NOT_VALID"};
constexpr std::array<std::string_view, 35> kImage{"OK",
                                                  "UNKNOWN",
                                                  "FLASH_CONFIG_QUERY_FAIL",
                                                  "NO_IMAGE",
                                                  "NO_TLVS",
                                                  "INVALID_TLV",
                                                  "TLV_MULTIPLE_HASHES_FOUND",
                                                  "TLV_INVALID_SIZE",
                                                  "HASH_NOT_FOUND",
                                                  "NO_FREE_SLOT",
                                                  "FLASH_OPEN_FAILED",
                                                  "FLASH_READ_FAILED",
                                                  "FLASH_WRITE_FAILED",
                                                  "FLASH_ERASE_FAILED",
                                                  "INVALID_SLOT",
                                                  "NO_FREE_MEMORY",
                                                  "FLASH_CONTEXT_ALREADY_SET",
                                                  "FLASH_CONTEXT_NOT_SET",
                                                  "FLASH_AREA_DEVICE_NULL",
                                                  "INVALID_PAGE_OFFSET",
                                                  "INVALID_OFFSET",
                                                  "INVALID_LENGTH",
                                                  "INVALID_IMAGE_HEADER",
                                                  "INVALID_IMAGE_HEADER_MAGIC",
                                                  "INVALID_HASH",
                                                  "INVALID_FLASH_ADDRESS",
                                                  "VERSION_GET_FAILED",
                                                  "CURRENT_VERSION_IS_NEWER",
                                                  "IMAGE_ALREADY_PENDING",
                                                  "INVALID_IMAGE_VECTOR_TABLE",
                                                  "INVALID_IMAGE_TOO_LARGE",
                                                  "INVALID_IMAGE_DATA_OVERRUN",
                                                  "IMAGE_CONFIRMATION_DENIED",
                                                  "IMAGE_SETTING_TEST_TO_ACTIVE_DENIED",
                                                  "ACTIVE_SLOT_NOT_KNOWN"};
constexpr std::array<std::string_view, 6> kStat{
    "OK", "UNKNOWN", "INVALID_GROUP", "INVALID_STAT_NAME", "INVALID_STAT_SIZE", "WALK_ABORTED"};
constexpr std::array<std::string_view, 9> kSettings{"OK",
                                                    "UNKNOWN",
                                                    "KEY_TOO_LONG",
                                                    "KEY_NOT_FOUND",
                                                    "READ_NOT_SUPPORTED",
                                                    "ROOT_KEY_NOT_FOUND",
                                                    "WRITE_NOT_SUPPORTED",
                                                    "DELETE_NOT_SUPPORTED",
                                                    "SAVE_NOT_SUPPORTED"};
constexpr std::array<std::string_view, 17> kFs{"OK",
                                               "UNKNOWN",
                                               "FILE_INVALID_NAME",
                                               "FILE_NOT_FOUND",
                                               "FILE_IS_DIRECTORY",
                                               "FILE_OPEN_FAILED",
                                               "FILE_SEEK_FAILED",
                                               "FILE_READ_FAILED",
                                               "FILE_TRUNCATE_FAILED",
                                               "FILE_DELETE_FAILED",
                                               "FILE_WRITE_FAILED",
                                               "FILE_OFFSET_NOT_VALID",
                                               "FILE_OFFSET_LARGER_THAN_FILE",
                                               "CHECKSUM_HASH_NOT_FOUND",
                                               "MOUNT_POINT_NOT_FOUND",
                                               "READ_ONLY_FILESYSTEM",
                                               "FILE_EMPTY"};
constexpr std::array<std::string_view, 4> kShell{"OK", "UNKNOWN", "COMMAND_TOO_LONG", "EMPTY_COMMAND"};
constexpr std::array<std::string_view, 5> kEnum{"OK", "UNKNOWN", "TOO_MANY_GROUP_ENTRIES",
                                                "INSUFFICIENT_HEAP_FOR_ENTRIES", "INDEX_TOO_LARGE"};
constexpr std::array<std::string_view, 5> kZephyr{"OK", "UNKNOWN", "FLASH_OPEN_FAILED", "FLASH_CONFIG_QUERY_FAIL",
                                                  "FLASH_ERASE_FAILED"};
constexpr std::array<std::string_view, 3> kMemfault{"OK", "UNKNOWN", "NO_PROJECT_KEY"};

constexpr std::int64_t kImageNoFreeMemory = 15;
constexpr std::int64_t kEnumNoHeap = 3;

Names names(std::optional<Group> group) {
  if (!group) return kGeneral;
  switch (*group) {
    case Group::kOs: return kOs;
    case Group::kImage: return kImage;
    case Group::kStat: return kStat;
    case Group::kSettings: return kSettings;
    case Group::kFs: return kFs;
    case Group::kShell: return kShell;
    case Group::kEnum: return kEnum;
    case Group::kZephyr: return kZephyr;
    case Group::kMemfault: return kMemfault;
    case Group::kTransport:
    case Group::kUser: break;
  }
  return {};
}

}  // namespace

std::optional<std::string_view> code_name(const DeviceError& error) {
  const Names known = names(error.group);
  if (error.rc >= 0 && error.rc < static_cast<std::int64_t>(known.size()))
    return known[static_cast<std::size_t>(error.rc)];
  if (!error.group && error.rc >= kFirstUserCode) return "EPERUSER";
  return std::nullopt;
}

std::string print_group(const DeviceError& error) {
  if (!error.group) return "general";
  if (const auto name = group_name(*error.group)) return std::string(*name);
  return fmt::format("group {}", static_cast<unsigned>(*error.group));
}

std::string print(const DeviceError& error) {
  std::string text = error.group ? print_group(error) + " error " : std::string("error ");
  const auto name = code_name(error);
  text += name ? fmt::format("{} ({})", *name, error.rc) : fmt::format("{}", error.rc);
  if (!error.reason.empty()) text += ": " + printable(error.reason);
  return text;
}

ErrorCode classify(const DeviceError& error) {
  if (error.is_general(kAccessDenied)) return ErrorCode::kDenied;
  const bool passing = error.is_general(kNoMemory) || error.is_general(kTimeout) || error.is_general(kBusy) ||
                       error.is(Group::kImage, kImageNoFreeMemory) || error.is(Group::kEnum, kEnumNoHeap);
  return passing ? ErrorCode::kUnavailable : ErrorCode::kRefused;
}

}  // namespace fieldpipe::smp
