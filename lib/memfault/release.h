// SPDX-License-Identifier: MIT
// Looking up a device's update, as values: the question, and what an answer means. Facts about the interface are those
// of the public pages "Retrieve Latest Release for a Device", "Releases" and "Artifacts" of docs.memfault.com.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "json/reader.h"

namespace fieldpipe::memfault {

inline constexpr std::string_view kReleaseApi = "https://device.memfault.com";

// What a device says of itself in group 128 of MCUmgr (memfault/memfault-firmware-sdk
// ports/zephyr/common/memfault_mcumgr.c).
struct DeviceInfo {
  std::string device_serial;
  std::string hardware_version;
  std::string software_type;
  std::string current_version;  // may be empty: then deltas and releases that must be passed through cannot be chosen
  std::string project_key;      // empty where the record does not have it
};

// Reads the record from a JSON object with these names; others are passed over. Fails with kBadData.
Result<DeviceInfo> parse_device_info(json::Reader& reader, std::string_view text);

// Fails with kBadData when something that the question needs is missing or is none.
Result<void> check_device_info(const DeviceInfo& device);

// What to ask for the newest release, as JSON or (`url_only`) as the URL of its artifact. Everything but unreserved
// characters (RFC 3986) is percent-encoded: a `+` in a version would be read as a blank.
std::string latest_release_url(std::string_view api, const DeviceInfo& device, bool url_only);

// The file of a release.
struct Artifact {
  std::string url;  // expires after some hours
  std::string filename;
  std::optional<std::uint64_t> size_bytes;
  std::string md5;  // digests in lower case hex; empty where the answer has none
  std::string sha1;
  std::string sha256;
};

struct Release {
  std::string version;
  bool is_delta = false;  // fits only the version that asked
  Artifact artifact;      // the first one; its `url` is empty where the answer has none
  std::string json;       // all of it, as it came, on one line
};

// Reads the answer's JSON. Fails with kBadData for what is no release.
Result<Release> parse_release(json::Reader& reader, std::string_view text);

// What to make of an answer that is no release: never "no update".
//
// 400: kRefused, the service knows no such hardware version, software type or serial; 401 and 403: kDenied, the project
// key; 408, 429 and 5xx, and no answer: kUnavailable, with the wait it asks for in the hint; redirects: kUnavailable,
// because they are not followed and mostly a portal's; anything else: kRefused.
Error release_error(int status, std::optional<std::chrono::seconds> retry_after);

}  // namespace fieldpipe::memfault
