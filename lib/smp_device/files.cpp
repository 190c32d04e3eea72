// SPDX-License-Identifier: MIT
#include "smp_device/files.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "core/bytes.h"
#include "digest/digest.h"
#include "gzip/crc32.h"
#include "smp/error.h"

namespace fieldpipe::smp_device {
namespace {

using smp::Group;

constexpr std::string_view kMount = "/lfs1";

// Codes of the file group (zephyr include/zephyr/mgmt/mcumgr/grp/fs_mgmt/fs_mgmt.h).
constexpr std::int64_t kNotFound = 3;
constexpr std::int64_t kIsDirectory = 4;
constexpr std::int64_t kWriteFailed = 10;
constexpr std::int64_t kOffsetLargerThanFile = 12;
constexpr std::int64_t kHashNotFound = 13;
constexpr std::int64_t kMountPointNotFound = 14;
constexpr std::int64_t kFileEmpty = 16;

bool is_mounted(std::string_view name) {
  return name.starts_with(kMount) && name.size() > kMount.size() + 1 && name[kMount.size()] == '/';
}

}  // namespace

tl::expected<const std::string*, Failure> Files::find(const std::string& name) const {
  if (name == kMount) return refuse(Group::kFs, kIsDirectory);
  const auto found = files_.find(name);
  if (found == files_.end()) return refuse(Group::kFs, kNotFound);
  return &found->second;
}

std::size_t Files::used_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, content] : files_) bytes += name.size() + content.size();
  return bytes;
}

Answer Files::download(const smp::fs::Download::Request& request) const {
  const auto file = find(request.name);
  if (!file) return tl::make_unexpected(file.error());
  smp::fs::Download::Response part;
  part.offset = request.offset;
  if (request.offset < (*file)->size()) part.data.bytes = (*file)->substr(request.offset, part_bytes_);
  if (request.offset == 0) part.length = (*file)->size();
  return answer(part);
}

Answer Files::upload(const smp::fs::Upload::Request& request) {
  if (request.name == kMount) return refuse(Group::kFs, kIsDirectory);
  if (!is_mounted(request.name)) return refuse(Group::kFs, kMountPointNotFound);
  if (request.offset == 0 && !request.length) return refuse(smp::kInvalid);
  const bool is_open = open_ && open_->name == request.name;
  const bool is_new = !files_.contains(request.name);
  if (used_bytes() + (is_new ? request.name.size() : 0) + request.data.bytes.size() > kRoomBytes) {
    return refuse(Group::kFs, kWriteFailed);
  }
  std::string& content = files_[request.name];
  if (!is_open) {
    // Only who opens the file truncates it: a second start without a close goes on where the first one was.
    if (request.offset == 0) content.clear();
    open_ = Upload{request.name, std::numeric_limits<std::uint64_t>::max()};
  }
  if (request.offset == 0) open_->length = *request.length;
  if (request.offset != 0 && request.offset != content.size()) {
    Failure failure{Group::kFs, smp::kFsOffsetNotValid, {}, {{"len", content.size()}}};
    return tl::make_unexpected(std::move(failure));
  }
  content += request.data.bytes;
  if (content.size() == open_->length) open_.reset();
  return answer(smp::fs::Upload::Response{content.size()});
}

Answer Files::status(const smp::fs::Status::Request& request) const {
  const auto file = find(request.name);
  if (!file) return tl::make_unexpected(file.error());
  return answer(smp::fs::Status::Response{(*file)->size()});
}

Answer Files::hash(const smp::fs::Hash::Request& request) const {
  const std::string type = request.type.value_or("crc32");
  if (type != "crc32" && type != "sha256") return refuse(Group::kFs, kHashNotFound);
  const auto file = find(request.name);
  if (!file) return tl::make_unexpected(file.error());
  if ((*file)->empty()) return refuse(Group::kFs, kFileEmpty);
  const std::uint64_t offset = request.offset.value_or(0);
  if (offset >= (*file)->size()) return refuse(Group::kFs, kOffsetLargerThanFile);
  const std::string_view range =
      std::string_view(**file).substr(offset, request.length.value_or(std::string_view::npos));
  smp::fs::Hash::Response response;
  response.type = type;
  response.length = range.size();
  if (offset != 0) response.offset = offset;
  if (type == "crc32") {
    response.output = gzip::crc32(0, as_bytes(range));
  } else {
    response.output = cbor::ByteString{digest::digest(digest::Algorithm::kSha256, as_bytes(range))};
  }
  return answer(response);
}

Answer Files::hash_types() const {
  return answer(smp::fs::HashTypes::Response{{{"crc32", {0, 4}}, {"sha256", {1, 32}}}});
}

Answer Files::close() {
  open_.reset();
  return answer(smp::Nothing{});
}

}  // namespace fieldpipe::smp_device
