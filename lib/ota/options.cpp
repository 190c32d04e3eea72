// SPDX-License-Identifier: MIT
#include "ota/options.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/secret.h"
#include "core/bytes.h"
#include "http/options.h"
#include "io/filter.h"
#include "io/input.h"
#include "memfault/identity.h"

namespace fieldpipe::ota {
namespace {

// The record of a device is a line; what is longer is something else.
constexpr std::size_t kMaxRecordBytes = 65536;

constexpr std::string_view kRecordHint =
    "smp-query memfault prints one; or --device, --hardware-version and --software-type";

}  // namespace

void declare(cli::OptionTable& table, Options& options) {
  table.section("Device");
  table.text("device", "SERIAL", options.device.device_serial, "the serial, instead of a record on stdin");
  table.text("hardware-version", "VERSION", options.device.hardware_version, "the hardware version");
  table.text("software-type", "TYPE", options.device.software_type, "the software type");
  table.text("current-version", "VERSION", options.device.current_version, "the version that runs on it");
  table.section("Release");
  table
      .text("project-key-file", "FILE", options.project_key_file,
            "file with the project key; MEMFAULT_PROJECT_KEY holds the key itself")
      .completes(cli::Completes::kFiles);
  table.text("api", "URL", options.api, "where the release service is");
  table.text("fetch", "FILE", options.fetch, "download the update to this file, and check it")
      .completes(cli::Completes::kFiles);
  http::declare(table, options.http);
  table.section("Output");
  cli::declare(table, options.progress);
  io::declare(table, options.stop);
}

Result<memfault::DeviceInfo> device(const Options& options, io::Loop& loop, io::Output& out) {
  memfault::DeviceInfo device = options.device;
  if (device.device_serial.empty() || device.hardware_version.empty() || device.software_type.empty()) {
    auto in = io::Input::standard(false);
    if (!in) return fail(std::move(in));
    while (!in->at_end() && in->window().size() <= kMaxRecordBytes) {
      auto arrival = io::await_input(loop, *in, out);
      if (!arrival) return fail(std::move(arrival));
      if (*arrival == io::Arrival::kStop) return fail(ErrorCode::kUnavailable, "interrupted");
    }
    if (in->window().empty())
      return fail(ErrorCode::kBadData, "stdin: empty, instead of the record of a device", std::string(kRecordHint));
    if (in->window().size() > kMaxRecordBytes) {
      return fail(ErrorCode::kBadData, fmt::format("stdin: more than the {} bytes of a record", kMaxRecordBytes));
    }
    json::Reader reader;
    auto read = memfault::parse_device_info(reader, as_text(in->window()));
    if (!read) {
      Error error = std::move(read).error().in("stdin");
      error.hint = kRecordHint;
      return tl::make_unexpected(std::move(error));
    }
    for (auto field : {&memfault::DeviceInfo::device_serial, &memfault::DeviceInfo::hardware_version,
                       &memfault::DeviceInfo::software_type, &memfault::DeviceInfo::current_version}) {
      if (!(device.*field).empty()) (*read).*field = std::move(device.*field);
    }
    device = *std::move(read);
  }
  if (auto checked = memfault::check_device_info(device); !checked) return fail(std::move(checked));
  return device;
}

Result<std::string> project_key(const Options& options, const memfault::DeviceInfo& device) {
  auto key = cli::read_secret({.option = "--project-key-file",
                               .path = options.project_key_file,
                               .environment = "MEMFAULT_PROJECT_KEY",
                               .credential = "project-key"});
  if (!key) return fail(std::move(key));
  if (!*key && !device.project_key.empty()) *key = device.project_key;
  if (!*key) {
    return fail(ErrorCode::kDenied, "project key: there is none",
                "--project-key-file FILE, MEMFAULT_PROJECT_KEY, or smp-query memfault --show-key");
  }
  if (auto checked = memfault::check_project_key(**key); !checked) {
    return fail(ErrorCode::kDenied, std::move(checked).error().what);
  }
  return **std::move(key);
}

}  // namespace fieldpipe::ota
