// SPDX-License-Identifier: MIT
#include "memfault/release.h"

#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "memfault/identity.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::size_t kMaxVersionBytes = 256;

void append_query(std::string& out, std::string_view name, std::string_view value) {
  if (!out.ends_with('?')) out.push_back('&');
  out.append(name).push_back('=');
  for (const char c : value) {
    const bool unreserved = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '_' || c == '.' || c == '~';
    if (unreserved) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

// Older answers leave fields out or have null for them.
std::string text_or_null(json::Reader& reader) {
  if (reader.type() != json::Type::kNull) return std::string(reader.string());
  reader.skip();
  return {};
}

bool flag_or_null(json::Reader& reader) {
  if (reader.type() != json::Type::kNull) return reader.boolean();
  reader.skip();
  return false;
}

std::string lower_hex(json::Reader& reader) {
  std::string digest = text_or_null(reader);
  for (char& c : digest) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return digest;
}

Artifact read_artifact(json::Reader& reader) {
  Artifact artifact;
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "url") {
      artifact.url = text_or_null(reader);
    } else if (key == "filename") {
      artifact.filename = text_or_null(reader);
    } else if (key == "file_size" && reader.type() != json::Type::kNull) {
      artifact.size_bytes = reader.unsigned_integer();
    } else if (key == "md5") {
      artifact.md5 = lower_hex(reader);
    } else if (key == "sha1") {
      artifact.sha1 = lower_hex(reader);
    } else if (key == "sha256") {
      artifact.sha256 = lower_hex(reader);
    }
  }
  return artifact;
}

// JSON without the line ends that may stand between its parts; within strings there are none.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c != '\n' && c != '\r') line.push_back(c);
  }
  return line;
}

}  // namespace

Result<DeviceInfo> parse_device_info(json::Reader& reader, std::string_view text) {
  DeviceInfo device;
  reader.open(text);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "device_serial") device.device_serial = reader.string();
    if (key == "hardware_version") device.hardware_version = reader.string();
    if (key == "software_type") device.software_type = reader.string();
    if (key == "current_version") device.current_version = reader.string();
    if (key == "project_key") device.project_key = reader.string();
  }
  if (auto read = reader.finish(); !read) return fail(std::move(read));
  return device;
}

Result<void> check_device_info(const DeviceInfo& device) {
  if (auto checked = check_device(device.device_serial); !checked) {
    return tl::make_unexpected(std::move(checked).error().in("device_serial"));
  }
  const std::pair<std::string_view, std::string_view> fields[] = {{"hardware_version", device.hardware_version},
                                                                  {"software_type", device.software_type}};
  for (const auto& [name, value] : fields) {
    if (value.empty()) return fail(ErrorCode::kBadData, fmt::format("{}: is empty", name));
  }
  for (const std::string_view value : {device.hardware_version, device.software_type, device.current_version}) {
    if (value.size() > kMaxVersionBytes) {
      return fail(ErrorCode::kBadData,
                  fmt::format("'{}' has {} bytes, more than {}", printable(value), value.size(), kMaxVersionBytes));
    }
  }
  return {};
}

std::string latest_release_url(std::string_view api, const DeviceInfo& device, bool url_only) {
  if (api.ends_with('/')) api.remove_suffix(1);
  std::string url = fmt::format("{}/api/v0/releases/latest{}?", api, url_only ? "/url" : "");
  append_query(url, "device_serial", device.device_serial);
  append_query(url, "hardware_version", device.hardware_version);
  append_query(url, "software_type", device.software_type);
  if (!device.current_version.empty()) append_query(url, "current_version", device.current_version);
  return url;
}

Result<Release> parse_release(json::Reader& reader, std::string_view text) {
  Release release;
  bool has_version = false;
  reader.open(text);
  reader.enter_object();
  while (reader.next_member()) {
    const std::string_view key = reader.key();
    if (key == "version") {
      release.version = reader.string();
      has_version = true;
    } else if (key == "is_delta") {
      release.is_delta = flag_or_null(reader);
    } else if (key == "artifacts" && reader.type() == json::Type::kArray) {
      reader.enter_array();
      // Clients take the first one (memfault/memfault-cloud-android, nordicsemi/IOS-nRF-Connect-Device-Manager).
      for (bool first = true; reader.next_element(); first = false) {
        if (first) release.artifact = read_artifact(reader);
      }
    }
  }
  if (auto read = reader.finish(); !read) return fail(std::move(read));
  if (!has_version) return fail(ErrorCode::kBadData, "an object without version");
  release.json = on_one_line(trimmed(text));
  return release;
}

Error release_error(int status, std::optional<std::chrono::seconds> retry_after) {
  if (status == 400) {
    return {ErrorCode::kRefused, "the service knows no such serial, hardware version or software type (400)", "", {}};
  }
  if (status == 401 || status == 403) {
    return {ErrorCode::kDenied, fmt::format("the project key is refused ({})", status), "", {}};
  }
  if (status == 408 || status == 429 || status >= 500) {
    return {ErrorCode::kUnavailable,
            fmt::format("the service answers {}", status),
            retry_after ? fmt::format("it asks to wait {} s", retry_after->count()) : std::string(),
            {}};
  }
  if (status >= 300 && status < 400) {
    return {ErrorCode::kUnavailable,
            fmt::format("redirected ({}), which is not followed", status),
            "a network that wants a login, or another --api",
            {}};
  }
  return {ErrorCode::kRefused, fmt::format("the service answers {}", status), "", {}};
}

}  // namespace fieldpipe::memfault
