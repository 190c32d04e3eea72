// SPDX-License-Identifier: MIT
#include "smp_session/upload.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include <fmt/format.h>

#include "digest/digest.h"
#include "smp/image_file.h"
#include "smp/upload_window.h"

namespace fieldpipe::smp_session {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// After the last part of an image a device may check the hash of all.
constexpr seconds kLastTimeout{20};

// A part that is not answered after this is lost, or after so many times what answers took of late; twice as long with
// each one that was lost, because a device may stand still for a while. Where the user has set a time limit, that
// stands in place of the first.
constexpr milliseconds kMostPartTimeout{2500};
constexpr milliseconds kLeastPartTimeout{500};
constexpr int kPartTimeoutAnswers = 8;

// What the first part is cut down to where it gets no answer.
constexpr std::size_t kLeastPayloadBytes = 128;

// The time limit of parts, from the time that answers take.
class Pace {
 public:
  explicit Pace(nanoseconds most) : most_(most) {}

  [[nodiscard]] nanoseconds most() const { return most_; }
  [[nodiscard]] nanoseconds timeout() const {
    if (average_.count() == 0) return most_;
    return std::min(std::max<nanoseconds>(kPartTimeoutAnswers * average_, kLeastPartTimeout) * (1U << lost_), most_);
  }
  void answered(nanoseconds took) {
    average_ = average_.count() == 0 ? took : (7 * average_ + took) / 8;
    lost_ = 0;
  }
  void lost() { lost_ = std::min(lost_ + 1, smp::UploadWindow::kMaxFailures); }

 private:
  nanoseconds most_;
  nanoseconds average_{0};
  unsigned lost_ = 0;  // in a row
};

// What images and files differ in.
struct Parts {
  std::uint64_t total_bytes = 0;
  // The request with the part at this offset, and how many bytes of the file are in it.
  std::function<Result<std::pair<Request, std::uint64_t>>(std::uint64_t offset, std::size_t payload_limit)> make;
  // Where the device wants to go on, from its answer; a failure that is none is one.
  std::function<Outcome<std::uint64_t>(Outcome<cbor::Value> answer)> next;
  // Before the first part, each time that it is sent.
  std::function<Outcome<void>()> begin;
  // Whether the device has all of it. There is none where parts cannot be repeated before they are answered, and what
  // the device does with the first and the last one takes no longer than with others.
  std::function<Outcome<bool>()> is_there;
};

class Uploader {
 public:
  Uploader(Session& session, Parts parts, cli::Progress& progress, std::size_t window, std::size_t payload_limit)
      : session_(session),
        parts_(std::move(parts)),
        progress_(progress),
        window_(parts_.total_bytes, window),
        payload_limit_(payload_limit),
        pace_(session.settings().timeout.value_or(kMostPartTimeout)) {}

  Outcome<UploadResult> run() {
    bool first_answer = true;
    while (!window_.complete()) {
      if (window_.stuck()) {
        return tl::make_unexpected(
            Failure(Error{ErrorCode::kUnavailable,
                          fmt::format("no progress at byte {} of {} after {} attempts", window_.acknowledged_bytes(),
                                      parts_.total_bytes, smp::UploadWindow::kMaxFailures + 1),
                          "the same command again goes on from there", std::nullopt}));
      }
      while (const auto offset = window_.next()) {
        if (offset == 0 && std::exchange(sent_last_, false) && parts_.is_there) {
          // A device that has all of it has ended the upload, and asks who missed its last answer for another one.
          abandon();
          auto there = parts_.is_there();
          if (!there) return pass(std::move(there));
          if (*there) return finish();
        }
        if (auto sent = send(*offset); !sent) return pass(std::move(sent));
      }
      auto reply = session_.next();
      if (!reply) return pass(std::move(reply));
      auto taken = take(**std::move(reply));
      if (!taken) return pass(std::move(taken));
      if (std::exchange(first_answer, false) && window_.acknowledged_bytes() > first_bytes_) {
        result_.resumed_at = window_.acknowledged_bytes();
      }
      progress_.show("upload", window_.acknowledged_bytes(), parts_.total_bytes);
    }
    // An answer that was lost on the way, while one behind it was not.
    abandon();
    return finish();
  }

 private:
  UploadResult finish() {
    result_.bytes = parts_.total_bytes;
    result_.repairs = window_.repairs();
    return result_;
  }

  // The request is repeated, `limit` after another, for as long as `total` where the limit is not longer.
  static void keep_asking(Request& request, nanoseconds limit, nanoseconds total) {
    request.timeout = limit;
    request.repeatable = true;
    request.retries = static_cast<unsigned>(total / std::min(limit, total)) - 1;
  }

  Outcome<void> send(std::uint64_t offset) {
    if (offset == 0 && parts_.begin) {
      if (auto begun = parts_.begin(); !begun) return begun;
    }
    auto part = parts_.make(offset, payload_limit_);
    if (!part) return pass(std::move(part));
    auto& [request, bytes] = *part;
    const nanoseconds given = session_.settings().timeout.value_or(kTimeout);
    request.timeout = offset == 0 ? given : pace_.timeout();
    const bool is_last = window_.ends_with(offset, bytes);
    if (offset == 0 && parts_.is_there) {
      // The flash is erased now, which may take as long as that; a request that was lost shall not.
      keep_asking(request, given, kSlowTimeout);
    } else if (is_last && parts_.is_there) {
      keep_asking(request, pace_.most(), kLastTimeout);
    }
    if (offset == 0) first_bytes_ = bytes;
    sent_last_ = sent_last_ || is_last;
    auto ticket = session_.submit(std::move(request));
    if (!ticket) return pass(std::move(ticket));
    sent_[*ticket] = monotonic_now();
    window_.sent(*ticket, bytes);
    return {};
  }

  void abandon() {
    session_.abandon();
    sent_.clear();
  }

  Outcome<void> take(Reply reply) {
    const auto sent = sent_.extract(reply.ticket);
    if (!reply.payload && !reply.payload.error().device &&
        reply.payload.error().error.code == ErrorCode::kUnavailable) {
      pace_.lost();
      if (window_.lost(reply.ticket)) abandon();
      // A device that answers small requests and not this one has less room than it says.
      if (window_.next() == 0) payload_limit_ = std::max(payload_limit_ / 2, kLeastPayloadBytes);
      return {};
    }
    if (!sent.empty()) pace_.answered(monotonic_now() - sent.mapped());
    const auto next = parts_.next(std::move(reply.payload));
    if (!next) return tl::make_unexpected(next.error());
    if (auto answered = window_.answered(reply.ticket, *next); !answered) {
      return tl::make_unexpected(Failure(std::move(answered).error().in("malformed answer")));
    }
    return {};
  }

  Session& session_;
  Parts parts_;
  cli::Progress& progress_;
  smp::UploadWindow window_;
  std::size_t payload_limit_;
  std::map<std::uint64_t, MonotonicTime> sent_;
  Pace pace_;
  std::uint64_t first_bytes_ = 0;
  bool sent_last_ = false;  // since the start from the beginning
  UploadResult result_;
};

Outcome<UploadResult> upload(Session& session, Parts parts, cli::Progress& progress) {
  auto window = session.window();
  if (!window) return pass(std::move(window));
  auto limit = session.payload_limit();
  if (!limit) return pass(std::move(limit));
  return Uploader(session, std::move(parts), progress, *window, *limit).run();
}

// Fills the request up to the limit with data from `file`, and encodes it. Fails where less than `least` bytes fit.
template <typename C>
Result<std::pair<Request, std::uint64_t>> fill(typename C::Request& message, Bytes file, std::uint64_t offset,
                                               std::size_t limit, std::uint64_t least) {
  std::string empty;
  smp::encode(empty, message);
  const Bytes rest = file.subspan(static_cast<std::size_t>(offset));
  const std::size_t room = smp::data_room(empty.size(), limit);
  if (room < std::min<std::uint64_t>(least, rest.size())) {
    return fail(ErrorCode::kRefused,
                fmt::format("packets of at most {} bytes leave room for {} bytes of the file, at least {} "
                            "are needed",
                            limit + smp::kHeaderBytes, room, least));
  }
  const Bytes data = rest.first(std::min(room, rest.size()));
  message.data.bytes = as_text(data);
  return std::pair(make_request<C>(message), std::uint64_t{data.size()});
}

}  // namespace

Outcome<UploadResult> upload_image(Session& session, Bytes file, const smp::ImageFile& image,
                                   const ImageUpload& options, cli::Progress& progress) {
  const std::string sha = digest::digest(digest::Algorithm::kSha256, file);
  std::optional<bool> match;
  Parts parts;
  parts.total_bytes = file.size();
  parts.is_there = [&]() -> Outcome<bool> {
    const auto state = session.ask<smp::image::ReadState>();
    if (!state && !state.error().device) return tl::make_unexpected(state.error());
    return state && std::any_of(state->images.begin(), state->images.end(), [&](const smp::image::Slot& slot) {
             return slot.image == options.image && !slot.active && slot.hash && slot.hash->bytes == as_text(image.hash);
           });
  };
  parts.make = [&](std::uint64_t offset, std::size_t limit) {
    smp::image::Upload::Request message;
    message.offset = offset;
    if (offset > 0) return fill<smp::image::Upload>(message, file, offset, limit, 1);
    message.image = options.image;
    message.length = file.size();
    message.upgrade = options.newer_only;
    message.sha = smp::ByteString{sha};
    auto part = fill<smp::image::Upload>(message, file, offset, limit, smp::kImageHeaderBytes);
    if (part) return part;
    // A device with very small buffers: without its name an upload cannot be taken up again.
    message.sha.reset();
    return fill<smp::image::Upload>(message, file, offset, limit, smp::kImageHeaderBytes);
  };
  parts.next = [&](Outcome<cbor::Value> answer) -> Outcome<std::uint64_t> {
    auto response = Session::decoded<smp::image::Upload>(std::move(answer));
    if (!response) return pass(std::move(response));
    if (!response->offset) return fail(ErrorCode::kBadData, "malformed answer: off is missing");
    match = response->match;
    return *response->offset;
  };
  auto result = upload(session, std::move(parts), progress);
  if (result) result->match = match;
  if (result && match == false) {
    return fail(ErrorCode::kRefused, "the device has all of it, and says that the slot holds something else");
  }
  return result;
}

Outcome<void> close_file(Session& session) {
  Request request = make_request<smp::fs::Close>();
  request.repeatable = true;
  auto closed = session.ask(std::move(request));
  // Old servers do not know the command, and close by themselves.
  if (!closed && !closed.error().is_general(smp::kNotSupported)) return pass(std::move(closed));
  return {};
}

Outcome<UploadResult> upload_file(Session& session, Bytes file, const std::string& name, cli::Progress& progress) {
  Parts parts;
  parts.total_bytes = file.size();
  // A file that is still open from a run before would keep its position, and the contents would mix.
  parts.begin = [&] { return close_file(session); };
  parts.make = [&](std::uint64_t offset, std::size_t limit) {
    smp::fs::Upload::Request message{name, offset, std::nullopt, {}};
    if (offset == 0) message.length = file.size();
    return fill<smp::fs::Upload>(message, file, offset, limit, 1);
  };
  parts.next = [&](Outcome<cbor::Value> answer) -> Outcome<std::uint64_t> {
    if (!answer && answer.error().is(smp::Group::kFs, smp::kFsOffsetNotValid)) {
      const cbor::Value* const length = answer.error().payload.find("len");
      if (const auto at = length != nullptr ? length->unsigned_integer() : std::nullopt) return *at;
    }
    auto response = Session::decoded<smp::fs::Upload>(std::move(answer));
    if (!response) return pass(std::move(response));
    return response->offset;
  };
  auto result = upload(session, std::move(parts), progress);
  if (!result) return result;
  if (auto closed = close_file(session); !closed) return pass(std::move(closed));
  return result;
}

Outcome<std::uint64_t> download_file(Session& session, const std::string& name,
                                     const std::function<Result<void>(std::string_view)>& take,
                                     cli::Progress& progress) {
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  const auto malformed = [](std::string what) {
    return fail(ErrorCode::kBadData, "malformed answer: " + std::move(what));
  };
  do {
    auto part = session.ask<smp::fs::Download>({name, offset});
    if (!part) return pass(std::move(part));
    if (part->offset != offset) {
      return malformed(fmt::format("the part at byte {} was asked for, the one at {} came", offset, part->offset));
    }
    if (offset == 0) length = part->length;
    if (!length) return malformed("len is missing");
    const std::string& data = part->data.bytes;
    if (data.empty() && offset < *length) return malformed(fmt::format("no data at byte {} of {}", offset, *length));
    if (data.size() > *length - offset) return malformed(fmt::format("more than the {} bytes of the file", *length));
    offset += data.size();
    if (auto taken = take(data); !taken) return pass(std::move(taken));
    progress.show("download", offset, *length);
  } while (offset < *length);
  return offset;
}

}  // namespace fieldpipe::smp_session
