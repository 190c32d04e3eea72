// SPDX-License-Identifier: MIT
#include "ota/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/backoff.h"
#include "core/bytes.h"
#include "core/text.h"
#include "digest/digest.h"
#include "io/descriptor.h"
#include "io/file.h"
#include "memfault/retry_after.h"
#include "ota/lookup.h"

namespace fieldpipe::ota {
namespace {

constexpr int kOk = 200;
constexpr int kPartialContent = 206;
constexpr int kRangeNotSatisfiable = 416;

struct Expected {
  digest::Algorithm algorithm;
  std::string_view hex;
};

std::optional<Expected> expected_digest(const memfault::Artifact& artifact) {
  if (artifact.sha256.size() == 64) return Expected{digest::Algorithm::kSha256, artifact.sha256};
  if (artifact.md5.size() == 32) return Expected{digest::Algorithm::kMd5, artifact.md5};
  return std::nullopt;
}

// The file that grows, and the digest of what is in it.
class Part {
 public:
  static Result<Part> open(std::string path, const std::optional<Expected>& expected);

  [[nodiscard]] std::uint64_t size() const { return size_; }

  Result<void> append(Bytes bytes) {
    for (Bytes rest = bytes; !rest.empty();) {
      const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return tl::make_unexpected(io::system_error(path_, errno));
      rest = rest.subspan(static_cast<std::size_t>(written));
    }
    if (digest_) digest_->update(bytes);
    size_ += bytes.size();
    return {};
  }

  // Back to nothing: what is there is not what is asked for.
  Result<void> restart() {
    if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0) {
      return tl::make_unexpected(io::system_error(path_, errno));
    }
    size_ = 0;
    if (algorithm_) digest_.emplace(*algorithm_);
    return {};
  }

  std::string digest_hex() {
    std::string hex;
    append_hex(hex, as_bytes(digest_->finish()));
    return hex;
  }

  Result<void> become(const std::string& path) {
    if (::fsync(file_.get()) != 0) return tl::make_unexpected(io::system_error(path_, errno));
    if (auto closed = file_.close(); !closed) return tl::make_unexpected(std::move(closed).error().in(path_));
    if (::rename(path_.c_str(), path.c_str()) != 0) return tl::make_unexpected(io::system_error(path, errno));
    return {};
  }

  void remove() const { ::unlink(path_.c_str()); }

 private:
  Part(std::string path, io::Descriptor file, std::optional<digest::Algorithm> algorithm)
      : path_(std::move(path)), file_(std::move(file)), algorithm_(algorithm) {
    if (algorithm_) digest_.emplace(*algorithm_);
  }

  std::string path_;
  io::Descriptor file_;
  std::optional<digest::Algorithm> algorithm_;
  std::optional<digest::Digest> digest_;
  std::uint64_t size_ = 0;
};

tl::unexpected<Error> not_a_file(const std::string& path) {
  return fail(ErrorCode::kIo, fmt::format("{}: is not a regular file", path));
}

Result<Part> Part::open(std::string path, const std::optional<Expected>& expected) {
  // A pipe of that name would never give its end.
  io::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (!file) {
    Error error = io::system_error(path, errno);
    error.code = ErrorCode::kIo;  // no such folder is no missing input
    return tl::make_unexpected(std::move(error));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return tl::make_unexpected(io::system_error(path, errno));
  if (!S_ISREG(status.st_mode)) return not_a_file(path);
  Part part(std::move(path), std::move(file), expected ? std::optional(expected->algorithm) : std::nullopt);
  // Without a digest nobody could tell whether these are bytes of this artifact.
  if (!expected) {
    if (auto emptied = part.restart(); !emptied) return fail(std::move(emptied));
    return part;
  }
  std::array<std::byte, 65536> block;
  for (;;) {
    const ssize_t got = ::read(part.file_.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::make_unexpected(io::system_error(part.path_, errno));
    if (got == 0) return part;
    part.digest_->update(std::span(block).first(static_cast<std::size_t>(got)));
    part.size_ += static_cast<std::uint64_t>(got);
  }
}

bool has_expired(int status) { return status == 401 || status == 403 || status == 404 || status == 410; }

bool may_pass(const http::Answer& answer) {
  return answer.failure != http::Failure::kNone || answer.status == 408 || answer.status == 429 || answer.status >= 500;
}

// Where the bytes of a 206 begin: "bytes FIRST-LAST/SIZE" (RFC 9110 section 14.4).
std::optional<std::uint64_t> range_begin(const http::Answer& answer) {
  std::string field = answer.field("Content-Range");
  constexpr std::string_view kUnit = "bytes ";
  if (!field.starts_with(kUnit)) return std::nullopt;
  return parse_integer<std::uint64_t>(std::string_view(field).substr(kUnit.size(), field.find('-') - kUnit.size()));
}

class Download {
 public:
  Download(io::Loop& loop, http::Client& client, memfault::Artifact& artifact, Part& part,
           const OnProgress& on_progress)
      : loop_(loop), client_(client), artifact_(artifact), part_(part), on_progress_(on_progress) {}

  // One request for what is missing.
  Result<http::Answer> attempt() {
    const std::string range = fmt::format("bytes={}-", part_.size());
    const std::array headers{http::Header{"Range", range}};
    http::Request request{
        .method = http::Method::kGet,
        .url = artifact_.url,
        .headers = part_.size() > 0 ? std::span<const http::Header>(headers) : std::span<const http::Header>(),
        .sink = [this](const http::Answer& so_far, Bytes data) { return take(so_far, data); },
        // Its length is not known; one that stands still ends by the stall rule.
        .timeout = std::chrono::nanoseconds(0)};
    began_ = false;
    auto answer = send(loop_, client_, request);
    if (!written_) return fail(std::move(written_));
    if (!answer && answer.error().code == ErrorCode::kUsage) {
      // It is the service that named this URL, not who runs the tool.
      answer.error().code = ErrorCode::kRefused;
      return tl::make_unexpected(std::move(answer).error().in("the release"));
    }
    return answer;
  }

  [[nodiscard]] bool is_complete() const { return artifact_.size_bytes && part_.size() == *artifact_.size_bytes; }

 private:
  bool take(const http::Answer& so_far, Bytes data) {
    if (!std::exchange(began_, true)) {
      const bool goes_on = so_far.status == kPartialContent && range_begin(so_far) == part_.size();
      if (!goes_on && part_.size() > 0) written_ = part_.restart();
      // A range that nobody asked for cannot be put anywhere.
      if (so_far.status == kPartialContent && !goes_on) return false;
    }
    if (artifact_.size_bytes && part_.size() + data.size() > *artifact_.size_bytes) {
      written_ = fail(ErrorCode::kBadData,
                      fmt::format("more than the {} bytes that the release names", *artifact_.size_bytes));
    }
    if (written_) written_ = part_.append(data);
    if (written_) on_progress_(part_.size(), artifact_.size_bytes.value_or(0));
    return written_.has_value();
  }

  io::Loop& loop_;
  http::Client& client_;
  memfault::Artifact& artifact_;
  Part& part_;
  const OnProgress& on_progress_;
  bool began_ = false;  // the body of this answer
  Result<void> written_;
};

Result<void> pause(io::Loop& loop, std::chrono::nanoseconds delay) {
  for (const MonotonicTime until = monotonic_now() + delay; monotonic_now() < until;) {
    if (auto waited = loop.wait(until); !waited) return waited;
    if (loop.stop_signal()) return fail(ErrorCode::kUnavailable, "interrupted");
  }
  return {};
}

// Asks again and again until all of it is there.
Result<void> fetch(io::Loop& loop, Download& download, memfault::Artifact& artifact, const Part& part,
                   const Renew& renew, cli::Report& report) {
  bool renewed = false;
  for (unsigned failures = 0; !download.is_complete();) {
    const std::uint64_t before = part.size();
    auto answer = download.attempt();
    if (!answer) return fail(std::move(answer));
    if (answer->failure == http::Failure::kNone && (answer->status == kOk || answer->status == kPartialContent)) {
      return {};
    }
    if (has_expired(answer->status) && !std::exchange(renewed, true)) {
      auto url = renew();
      if (!url) return fail(std::move(url));
      artifact.url = *std::move(url);
      continue;
    }
    if (answer->status == kRangeNotSatisfiable && part.size() > 0) return {};  // size and digest tell
    Error error = answer->failure != http::Failure::kNone ? no_answer(*answer)
                                                          : memfault::release_error(answer->status, std::nullopt);
    if (!may_pass(*answer)) return tl::make_unexpected(std::move(error));
    failures = part.size() > before ? 1 : failures + 1;
    if (failures >= kMostAttempts) return tl::make_unexpected(std::move(error));
    const auto asked = memfault::parse_retry_after(answer->field("Retry-After"), answer->field("Date"), wall_now());
    report.say(fmt::format("{}; going on at byte {}", error.what, part.size()));
    std::chrono::nanoseconds delay = backoff(failures, random_fraction());
    if (asked && *asked > delay) delay = *asked;
    if (auto paused = pause(loop, delay); !paused) return paused;
  }
  return {};
}

Result<void> check(const memfault::Artifact& artifact, const std::optional<Expected>& expected, Part& part) {
  if (artifact.size_bytes && part.size() != *artifact.size_bytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("{} bytes came, and the release names {}", part.size(), *artifact.size_bytes));
  }
  if (!expected) return {};
  if (const std::string came = part.digest_hex(); came != expected->hex) {
    return fail(ErrorCode::kBadData, fmt::format("its digest is {}, and the release names {}", came, expected->hex));
  }
  return {};
}

}  // namespace

Result<void> download(io::Loop& loop, http::Client& client, memfault::Artifact artifact, const std::string& path,
                      const OnProgress& on_progress, const Renew& renew, cli::Report& report) {
  // The rename would put the update in the place of a device or a pipe.
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (!exists && errno == ELOOP) return tl::make_unexpected(io::system_error(path, errno));
  if (exists && !S_ISREG(status.st_mode)) return not_a_file(path);
  const std::string target = io::follow_links(path);
  const auto expected = expected_digest(artifact);
  if (!expected) report.warn("the release names no digest; only the size is checked");
  auto part = Part::open(target + ".part", expected);
  if (!part) return fail(std::move(part));
  if (artifact.size_bytes && part->size() > *artifact.size_bytes) {
    if (auto restarted = part->restart(); !restarted) return restarted;
  }
  // Bytes of an earlier run may be of something else that was there before.
  for (bool goes_on = part->size() > 0;; goes_on = false) {
    Download download(loop, client, artifact, *part, on_progress);
    auto fetched = fetch(loop, download, artifact, *part, renew, report);
    if (fetched) fetched = check(artifact, expected, *part);
    if (fetched) break;
    if (goes_on && fetched.error().code == ErrorCode::kBadData) {
      if (auto restarted = part->restart(); !restarted) return restarted;
      continue;
    }
    if (fetched.error().code == ErrorCode::kBadData || !expected || part->size() == 0) part->remove();
    return fetched;
  }
  return part->become(target);
}

}  // namespace fieldpipe::ota
