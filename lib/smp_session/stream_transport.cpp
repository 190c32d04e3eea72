// SPDX-License-Identifier: MIT
#include "smp_session/stream_transport.h"

#include <array>

#include "io/socket.h"

namespace fieldpipe::smp_session {
namespace {

using std::chrono::milliseconds;

// A shell that holds half a typed command swallows a frame. A line feed clears it, but in one write with the frame the
// shell takes the tab of the marker for completion (seen with Zephyr 4.4), so a pause goes between.
constexpr milliseconds kClearPause{50};

// A server reads two lines at a time; through a USB or pseudo terminal more come in one burst than it has room for.
constexpr milliseconds kRepeatLineDelay{10};

// What a device without the parameters command is taken to have.
constexpr std::size_t kUnknownBufferBytes = 256;

// The reassembly buffer of a console holds length and checksum besides the packet.
constexpr std::size_t kFrameBytes = 4;

}  // namespace

StreamTransport::~StreamTransport() {
  text_.clear();
  console_.finish(text_);
  if (settings_.console && !text_.empty()) settings_.console(text_);
}

int StreamTransport::descriptor() const {
  if (const auto* port = std::get_if<io::SerialPort>(&stream_)) return port->descriptor();
  return std::get<io::Descriptor>(stream_).get();
}

Result<void> StreamTransport::send(Bytes packet, bool again) {
  if (!framed_) {
    // What is pending was never completed; the device, too, has dropped its part by now.
    if (again) assembler_.clear();
    unsent_.push_back({std::string(as_text(packet))});
    return write();
  }
  if (again) unsent_.push_back({"\n", kClearPause});
  const auto delay = settings_.line_delay.value_or(again ? kRepeatLineDelay : milliseconds(0));
  std::string lines;
  smp::append_console_lines(lines, packet, settings_.line_bytes);
  if (delay.count() == 0) {
    unsent_.push_back({std::move(lines)});
  } else {
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = lines.find('\n', begin) + 1;
      unsent_.push_back({lines.substr(begin, end - begin), delay});
      begin = end;
    }
  }
  return write();
}

void StreamTransport::watch(io::Loop& loop) const {
  const bool writes = !unsent_.empty() && !resting();
  loop.watch(descriptor(), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN));
}

std::optional<MonotonicTime> StreamTransport::deadline() const {
  if (unsent_.empty() || !resting()) return std::nullopt;
  return not_before_;
}

Result<void> StreamTransport::write() {
  while (!unsent_.empty() && !resting()) {
    const Piece& piece = unsent_.front();
    const std::string_view rest = std::string_view(piece.bytes).substr(written_);
    auto* const port = std::get_if<io::SerialPort>(&stream_);
    auto count = port != nullptr ? port->write_some(rest) : io::send_some(std::get<io::Descriptor>(stream_), rest);
    if (!count) return fail(std::move(count));
    if (*count == 0) return {};
    written_ += *count;
    if (written_ < piece.bytes.size()) continue;
    if (piece.pause_after.count() > 0) not_before_ = monotonic_now() + piece.pause_after;
    unsent_.pop_front();
    written_ = 0;
  }
  return {};
}

Result<void> StreamTransport::advance(std::vector<std::string>& packets) {
  std::array<char, 4096> block;
  // A stream that never pauses must not keep us from looking at the clock.
  for (int turns = 0; turns < 16; ++turns) {
    auto* const port = std::get_if<io::SerialPort>(&stream_);
    auto count = port != nullptr ? port->read_some(block) : io::receive_some(std::get<io::Descriptor>(stream_), block);
    if (!count) return fail(std::move(count));
    if (!*count) {
      // What came before the end counts.
      if (!packets.empty()) return {};
      return fail(ErrorCode::kUnavailable, port != nullptr ? "the port has gone" : "the connection was closed");
    }
    if (**count == 0) break;
    take(as_bytes(std::string_view(block.data(), **count)), packets);
    if (**count < block.size()) break;
  }
  return write();
}

void StreamTransport::take(Bytes bytes, std::vector<std::string>& packets) {
  if (!framed_) return assembler_.receive(bytes, packets);
  console_.receive(bytes, packets, text_);
  if (text_.empty()) return;
  if (settings_.console) settings_.console(text_);
  text_.clear();
}

std::size_t StreamTransport::packet_limit(std::optional<std::size_t> buffer_bytes) const {
  const std::size_t buffer = buffer_bytes.value_or(kUnknownBufferBytes);
  if (!framed_) return buffer;
  return buffer > kFrameBytes ? buffer - kFrameBytes : 0;
}

std::string StreamTransport::silence_hint() const {
  if (!framed_) {
    return assembler_.strays() > 0
               ? "the line is out of step: no packet begins where one should; raw: is for a port that "
                 "carries nothing but packets, serial: for a console"
               : "a device whose console carries frames answers to serial:, not to raw:";
  }
  return std::holds_alternative<io::SerialPort>(stream_)
             ? "another reader of the port, another rate, or a device without SMP on this port?"
             : "is there SMP in console frames behind this port?";
}

}  // namespace fieldpipe::smp_session
