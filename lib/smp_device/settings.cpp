// SPDX-License-Identifier: MIT
#include "smp_device/settings.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "smp/error.h"

namespace fieldpipe::smp_device {
namespace {

using smp::Group;

constexpr std::string_view kRoot = "app/";

// Defaults of CONFIG_MCUMGR_GRP_SETTINGS_NAME_LEN and _VALUE_LEN, and a bound of our own.
constexpr std::size_t kNameBytes = 32;
constexpr std::size_t kValueBytes = 64;
constexpr std::size_t kMaxValues = 256;

// Codes of the settings group (zephyr include/zephyr/mgmt/mcumgr/grp/settings_mgmt/settings_mgmt.h).
constexpr std::int64_t kKeyTooLong = 2;
constexpr std::int64_t kKeyNotFound = 3;
constexpr std::int64_t kRootNotFound = 5;

}  // namespace

Settings::Values Settings::defaults() { return {{"app/interval", std::string("\x2c\x01\0\0", 4)}}; }

Answer Settings::read(const smp::settings::Read::Request& request) const {
  if (request.name.size() >= kNameBytes) return refuse(Group::kSettings, kKeyTooLong);
  if (!request.name.starts_with(kRoot)) return refuse(Group::kSettings, kRootNotFound);
  const auto found = values_.find(request.name);
  if (found == values_.end()) return refuse(Group::kSettings, kKeyNotFound);
  smp::settings::Read::Response response;
  const auto wanted = request.max_bytes.value_or(kValueBytes);
  response.value.bytes =
      found->second.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(wanted, kValueBytes)));
  if (wanted > kValueBytes) response.max_bytes = kValueBytes;
  return answer(response);
}

Answer Settings::write(const smp::settings::Write::Request& request) {
  if (request.name.size() >= kNameBytes) return refuse(Group::kSettings, kKeyTooLong);
  if (!request.name.starts_with(kRoot)) return refuse(Group::kSettings, kRootNotFound);
  if (request.value.bytes.size() > kValueBytes) return refuse(smp::kInvalid);
  if (!values_.contains(request.name) && values_.size() >= kMaxValues) return refuse(smp::kNoMemory);
  values_[request.name] = request.value.bytes;
  return answer(smp::Nothing{});
}

Answer Settings::remove(const smp::settings::Delete::Request& request) {
  if (request.name.size() >= kNameBytes) return refuse(Group::kSettings, kKeyTooLong);
  if (values_.erase(request.name) == 0) return refuse(Group::kSettings, kKeyNotFound);
  return answer(smp::Nothing{});
}

Answer Settings::save() {
  saved_ = values_;
  return answer(smp::Nothing{});
}

Answer Settings::load() {
  values_ = saved_.empty() ? defaults() : saved_;
  return answer(smp::Nothing{});
}

Answer Settings::erase() {
  saved_.clear();
  return answer(smp::Nothing{});
}

}  // namespace fieldpipe::smp_device
