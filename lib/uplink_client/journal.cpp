// SPDX-License-Identifier: MIT
#include "uplink_client/journal.h"

#include <sys/file.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "json/reader.h"

namespace fieldpipe::uplink_client {
namespace {

// A line has at most some KiB: the end of a handler's stderr is cut.
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{64} << 20U;

Result<io::Descriptor> open_or_create(const spool::Directory& directory, const std::string& name) {
  auto file = directory.open_file(name, true);
  if (!file && file.error().code == ErrorCode::kNoInput) file = directory.create(name, 0);
  return file;
}

}  // namespace

Result<Journal> Journal::open(const std::string& path, const std::string& name) {
  auto directory = spool::Directory::open(path, true);
  if (!directory) {
    Error error = std::move(directory).error();
    if (error.code == ErrorCode::kNoInput) error.code = ErrorCode::kIo;  // it would have been made
    return tl::make_unexpected(std::move(error));
  }
  Journal journal(*std::move(directory), name);
  auto lock = open_or_create(journal.directory_, name + ".lock");
  if (!lock) return tl::make_unexpected(std::move(lock).error().in(path));
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::kUnavailable, fmt::format("{}/{}: in use by another process", path, name), "--state DIR");
  }
  journal.lock_ = *std::move(lock);
  if (auto read = journal.read(); !read) return tl::make_unexpected(std::move(read).error().in(path));
  return journal;
}

Result<void> Journal::read() {
  auto file = open_or_create(directory_, name_);
  if (!file) return fail(std::move(file));
  const auto size = spool::file_bytes(*file);
  if (!size) return tl::make_unexpected(size.error());
  if (*size > kMaxFileBytes) return fail(ErrorCode::kConfig, fmt::format("{}: no journal, {} bytes", name_, *size));
  std::string text;
  if (auto done = spool::read_at(*file, 0, static_cast<std::size_t>(*size), text); !done) return done;
  json::Reader reader;
  bool sound = true;
  for (std::string_view left = text; !left.empty();) {
    const std::size_t end = left.find('\n');
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
    auto answer = uplink::parse_response(reader, line);
    sound = sound && answer && end != std::string_view::npos;
    ++lines_;
    if (answer && end != std::string_view::npos) remember(*std::move(answer));
  }
  if (!sound) return write_anew();
  bytes_ = text.size();
  file_ = *std::move(file);
  return directory_.sync();
}

const uplink::ActionResponse* Journal::find(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

void Journal::remember(uplink::ActionResponse response) {
  if (const auto known = by_id_.find(response.action_id); known != by_id_.end()) {
    const auto answer = known->second;
    by_id_.erase(known);
    answers_.erase(answer);
  }
  answers_.push_back(std::move(response));
  by_id_.emplace(answers_.back().action_id, std::prev(answers_.end()));
  if (answers_.size() <= kMost) return;
  by_id_.erase(answers_.front().action_id);
  answers_.pop_front();
}

Result<void> Journal::add(const uplink::ActionResponse& response) {
  remember(response);
  if (!file_ || lines_ >= 2 * kMost) return write_anew();
  std::string line;
  uplink::append_response_line(line, response);
  auto written = spool::write_at(file_, as_bytes(line), bytes_);
  if (written) written = spool::sync_data(file_);
  if (!written) {
    // What is in the file now is not known; the next answer makes a new one.
    file_ = io::Descriptor();
    return written;
  }
  bytes_ += line.size();
  ++lines_;
  return {};
}

Result<void> Journal::write_anew() {
  file_ = io::Descriptor();
  std::string text;
  for (const uplink::ActionResponse& answer : answers_) uplink::append_response_line(text, answer);
  const std::string fresh = name_ + ".new";
  (void)directory_.remove(fresh);  // of a crash
  auto file = directory_.create(fresh, 0);
  if (!file) return fail(std::move(file));
  if (auto done = spool::write_at(*file, as_bytes(text), 0); !done) return done;
  if (auto done = spool::sync_data(*file); !done) return done;
  if (auto done = directory_.rename(fresh, name_); !done) return done;
  if (auto done = directory_.sync(); !done) return done;
  bytes_ = text.size();
  lines_ = answers_.size();
  file_ = *std::move(file);
  return {};
}

}  // namespace fieldpipe::uplink_client
