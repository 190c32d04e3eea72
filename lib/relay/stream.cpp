// SPDX-License-Identifier: MIT
#include "relay/stream.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace fieldpipe::relay {
namespace {

// A stop signal often goes to a whole pipeline: what its other end still hands over on its way out is not to be lost,
// but an input that does not end must not hold the end up.
constexpr std::chrono::seconds kInputAfterStop{1};

// How often a port that has gone is looked for.
constexpr std::chrono::milliseconds kBetweenAttempts{250};

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;

bool names_devices(memfault::ChunkForm form) {
  using enum memfault::ChunkForm;
  return form == kNdjson || form == kEvents || form == kEnvelope;
}

}  // namespace

RecordFeed::RecordFeed(memfault::ChunkReaderOptions options)
    : reader_([&] {
        options.whole_records = true;
        return std::move(options);
      }()) {}

Result<std::size_t> RecordFeed::feed(Bytes window, bool at_end, Door& door) {
  std::size_t used = 0;
  while ((more_ = !door.open()) == false) {
    auto step = reader_.next(window.subspan(used), at_end);
    if (!step) return fail(std::move(step));
    if (step->record != nullptr) {
      const memfault::ChunkRecord& record = *step->record;
      Incoming incoming;
      incoming.anonymous = !names_devices(reader_.form());
      if (!incoming.anonymous) {
        incoming.device = record.device;  // none where it is refused: that of somebody else would be wrong
        if (!record.project_key.empty()) incoming.project_key = record.project_key;
      }
      incoming.chunk = record.refused() ? record.raw : as_text(record.chunk);
      incoming.refusal = record.reason;
      incoming.detail = record.refusal;
      incoming.size_bytes = record.raw_bytes;
      if (record.reason == "unterminated") {
        std::string where = record.line > 0 ? fmt::format("line {}: ", record.line) : std::string();
        half_record_ = Error{ErrorCode::kBadData, std::move(where) + record.refusal, {}, {}};
      }
      if (auto taken = door.take(incoming); !taken) return fail(std::move(taken));
    }
    used += step->used_bytes;
    if (step->record == nullptr) break;
  }
  return used;
}

Result<std::unique_ptr<Source>> InputStream::create(std::vector<std::string> paths,
                                                    memfault::ChunkReaderOptions options, cli::Report& report) {
  if (paths.empty()) paths.emplace_back("-");
  std::unique_ptr<InputStream> stream(new InputStream(std::move(paths), std::move(options), report));
  if (auto opened = stream->open_next(); !opened) return fail(std::move(opened));
  return stream;
}

InputStream::InputStream(std::vector<std::string> paths, memfault::ChunkReaderOptions options, cli::Report& report)
    : report_(report), paths_(std::move(paths)), feed_(std::move(options)) {}

Result<void> InputStream::open_next() {
  const std::string& path = paths_[next_path_++];
  auto input = path == "-" ? io::Input::standard(false) : io::Input::open(path);
  if (!input) return fail(std::move(input));
  input_.emplace(*std::move(input));
  feed_.begin_input();
  return {};
}

void InputStream::watch(io::Loop& loop) const {
  if (!feed_.more()) loop.watch(input_->descriptor(), POLLIN);
}

std::optional<MonotonicTime> InputStream::deadline() const { return feed_.more() ? MonotonicTime{} : input_ends_; }

Result<bool> InputStream::turn(const io::Loop& loop, Door& door) {
  if (loop.stop_signal() && !input_ends_) {
    const MonotonicTime now = monotonic_now();
    input_ends_ = now + std::min<MonotonicTime::duration>(kInputAfterStop, (loop.stop_deadline() - now) / 2);
  }
  const bool readable = loop.ready(input_->descriptor(), POLLIN);
  if (readable && !feed_.more()) {
    if (auto read = input_->read_more(); !read) return fail(std::move(read));
  }
  auto used = feed_.feed(input_->window(), input_->at_end(), door);
  if (!used) return tl::make_unexpected(std::move(used).error().in(input_->name()));
  input_->consume(*used);
  if (!feed_.more() && input_->at_end()) {
    if (feed_.is_other_text()) report_.warn(fmt::format("{}: text without an MC: record", input_->name()));
    if (feed_.half_record()) return tl::make_unexpected(Error(*feed_.half_record()).in(input_->name()));
    if (next_path_ == paths_.size()) {
      ended_ = true;
    } else if (auto opened = open_next(); !opened) {
      return fail(std::move(opened));
    }
  }
  if (input_ends_ && monotonic_now() >= *input_ends_) ended_ = true;
  return readable || feed_.more();
}

SerialStream::SerialStream(io::SerialAddress address, memfault::ChunkReaderOptions options, cli::Report& report)
    : address_(std::move(address)), options_(std::move(options)), report_(report) {}

void SerialStream::watch(io::Loop& loop) const {
  if (port_) loop.watch(port_->descriptor(), POLLIN);
}

std::optional<MonotonicTime> SerialStream::deadline() const {
  if (feed_ && feed_->more()) return MonotonicTime{};
  return port_ ? std::nullopt : std::optional(next_attempt_);
}

void SerialStream::open() {
  auto port = io::SerialPort::open(address_);
  if (!port) {
    next_attempt_ = monotonic_now() + kBetweenAttempts;
    if (!std::exchange(told_, true)) report_.warn(fmt::format("{}, waiting for it", port.error().what));
    return;
  }
  port_ = *std::move(port);
  feed_.emplace(options_);
  ++opened_;
  if (std::exchange(told_, false)) report_.warn(fmt::format("{}: there again", address_.path));
}

Result<bool> SerialStream::turn(const io::Loop& loop, Door& door) {
  if (!port_) {
    if (monotonic_now() < next_attempt_) return false;
    open();
    return port_.has_value();
  }
  bool any = false;
  if (!feed_->more() && loop.ready(port_->descriptor(), POLLIN)) {
    const std::size_t size = window_.size();
    window_.resize(size + kReadBytes);
    const auto read = port_->read_some(std::span(window_).subspan(size));
    if (!read) return fail(Result<std::optional<std::size_t>>(read));
    gone_ = !*read;
    any = read->value_or(0) > 0;
    window_.resize(size + read->value_or(0));
  }
  auto used = feed_->feed(as_bytes(window_), gone_, door);
  if (!used) return tl::make_unexpected(std::move(used).error().in(address_.path));
  window_.erase(0, *used);
  if (gone_ && !feed_->more()) {
    report_.warn(fmt::format("{}: gone, waiting for it", address_.path));
    told_ = true;
    gone_ = false;
    port_.reset();
    window_.clear();
    next_attempt_ = monotonic_now() + kBetweenAttempts;
  }
  return any || feed_->more();
}

std::string SerialStream::state() const {
  return fmt::format("{} {}", port_ ? "reading" : "waiting for", address_.path);
}

void SerialStream::add_metrics(Metrics& metrics) const {
  metrics.counter("serial_opens_total", "how often the serial port was opened", opened_);
}

}  // namespace fieldpipe::relay
