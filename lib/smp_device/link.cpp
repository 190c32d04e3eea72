// SPDX-License-Identifier: MIT
#include "smp_device/link.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "core/text.h"
#include "io/pseudo_terminal.h"
#include "smp/console.h"
#include "smp/packet.h"

namespace fieldpipe::smp_device {
namespace {

// CONFIG_MCUMGR_TRANSPORT_UDP_MTU: no datagram that is larger arrives whole.
constexpr std::size_t kUdpBytes = 1500;

// What of a frame is in the reassembly buffer besides the packet: length and checksum.
constexpr std::size_t kFrameBytes = 4;

// What waits for a reader. A UART has no such thing; a pipe to a client that is busy needs it.
constexpr std::size_t kUnsentBytes = std::size_t{64} * 1024;

// A packet of a raw line that is not complete by then never will be.
constexpr std::chrono::milliseconds kPartialTime{500};

class UdpLink : public Link {
 public:
  static Result<std::unique_ptr<Link>> open(io::Endpoint endpoint) {
    auto socket = io::bind_datagrams(endpoint);
    if (!socket) return fail(std::move(socket));
    return std::make_unique<UdpLink>(*std::move(socket), std::move(endpoint));
  }
  UdpLink(io::Descriptor socket, io::Endpoint endpoint) : socket_(std::move(socket)), endpoint_(std::move(endpoint)) {}

  std::string connect_string() const override { return "udp:" + io::print_endpoint(endpoint_); }
  void watch(io::Loop& loop) const override { loop.watch(socket_.get(), POLLIN); }

  Result<void> receive(MonotonicTime, std::vector<Parcel>& requests) override {
    constexpr int kAtOnce = 64;
    std::array<char, kUdpBytes + 1> block;
    for (int i = 0; i < kAtOnce; ++i) {
      Parcel parcel;
      auto count = io::receive_datagram(socket_, block, parcel.peer);
      // An answer to somebody who has gone comes back as an error of the socket, which nobody else is concerned by.
      if (!count) continue;
      if (!*count) break;
      parcel.bytes.assign(block.data(), **count);
      requests.push_back(std::move(parcel));
    }
    return {};
  }

  bool is_checked() const override { return false; }
  void frame(std::string&) const override {}
  void send(const Parcel& framed) override { io::send_datagram(socket_, framed.bytes, framed.peer); }
  std::size_t packet_limit(std::size_t buffer_bytes) const override { return std::min(buffer_bytes, kUdpBytes); }

 private:
  io::Descriptor socket_;
  io::Endpoint endpoint_;
};

// One connection at a time, as the port behind it has one.
class TcpPort {
 public:
  explicit TcpPort(io::Listener listener) : listener_(std::move(listener)) {}

  std::string connect_string() const { return "tcp:" + io::print_endpoint(listener_.endpoint()); }
  void watch(io::Loop& loop, short events) const {
    if (connection_) {
      loop.watch(connection_.get(), events);
    } else {
      listener_.watch(loop);
    }
  }
  Result<std::size_t> read_some(std::span<char> to) {
    if (!connection_) {
      auto accepted = listener_.accept();
      if (!accepted) return fail(std::move(accepted));
      connection_ = *std::move(accepted);
    }
    if (!connection_) return std::size_t{0};
    const auto count = io::receive_some(connection_, to);
    if (count && *count) return **count;
    connection_ = io::Descriptor();
    return std::size_t{0};
  }
  Result<std::size_t> write_some(std::string_view bytes) {
    // A console prints whether somebody listens or not.
    if (!connection_) return bytes.size();
    const auto count = io::send_some(connection_, bytes);
    if (count) return *count;
    connection_ = io::Descriptor();
    return bytes.size();
  }
  void pull() { connection_ = io::Descriptor(); }
  static Result<void> plug() { return {}; }

 private:
  io::Listener listener_;
  io::Descriptor connection_;
};

class SerialPort {
 public:
  // `path` is where the link to the port is; empty: nowhere.
  static Result<SerialPort> open(std::string path, bool framed) {
    SerialPort port;
    port.path_ = std::move(path);
    port.framed_ = framed;
    if (auto plugged = port.plug(); !plugged) return fail(std::move(plugged));
    return port;
  }
  SerialPort(SerialPort&& other) noexcept
      : path_(std::exchange(other.path_, {})), framed_(other.framed_), terminal_(std::exchange(other.terminal_, {})) {}
  SerialPort& operator=(SerialPort&&) = delete;
  SerialPort(const SerialPort&) = delete;
  SerialPort& operator=(const SerialPort&) = delete;
  ~SerialPort() { unlink(); }

  std::string connect_string() const {
    return (framed_ ? "serial:" : "raw:") + (path_.empty() ? terminal_->path() : path_);
  }
  void watch(io::Loop& loop, short events) const {
    if (terminal_) loop.watch(terminal_->descriptor(), events);
  }
  Result<std::size_t> read_some(std::span<char> to) {
    if (!terminal_) return std::size_t{0};
    return terminal_->read_some(to);
  }
  Result<std::size_t> write_some(std::string_view bytes) {
    if (!terminal_) return bytes.size();
    return terminal_->write_some(bytes);
  }
  // Only a port with a name that stays can go and come back.
  void pull() {
    if (path_.empty()) return;
    unlink();
    terminal_.reset();
  }
  Result<void> plug() {
    if (terminal_) return {};
    auto created = io::PseudoTerminal::create();
    if (!created) return fail(std::move(created));
    if (!path_.empty() && ::symlink(created->path().c_str(), path_.c_str()) != 0) {
      return tl::make_unexpected(io::system_error(path_, errno));
    }
    terminal_ = *std::move(created);
    return {};
  }

 private:
  SerialPort() = default;
  void unlink() {
    if (terminal_ && !path_.empty()) ::unlink(path_.c_str());
  }

  std::string path_;
  bool framed_ = true;
  std::optional<io::PseudoTerminal> terminal_;
};

// The line that a console reads. One that is longer than its buffer is dropped whole, and so is one that does not begin
// with a marker (zephyrproject-rtos/zephyr drivers/console/uart_mcumgr.c,
// subsys/mgmt/mcumgr/transport/src/serial_util.c).
class LineReader {
 public:
  explicit LineReader(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // Gives the lines of frames that are complete with these bytes.
  std::string receive(std::string_view bytes) {
    std::string lines;
    for (const char c : bytes) {
      ++length_;
      if (line_.size() < most_bytes_) line_.push_back(c);
      if (c != '\n') continue;
      if (length_ <= most_bytes_ && smp::begins_with_marker(line_)) lines += line_;
      clear();
    }
    return lines;
  }
  void clear() {
    line_.clear();
    length_ = 0;
  }

 private:
  std::size_t most_bytes_;
  std::string line_;
  std::size_t length_ = 0;
};

template <typename Port>
class StreamLink : public Link {
 public:
  StreamLink(Port port, bool framed, std::size_t line_bytes)
      : port_(std::move(port)), framed_(framed), lines_(line_bytes) {}

  std::string connect_string() const override { return port_.connect_string(); }
  void watch(io::Loop& loop) const override {
    port_.watch(loop, static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT));
  }
  std::optional<MonotonicTime> deadline() const override {
    if (assembler_.pending_bytes() == 0) return std::nullopt;
    return partial_until_;
  }

  Result<void> receive(MonotonicTime now, std::vector<Parcel>& requests) override {
    std::array<char, 4096> block;
    auto count = port_.read_some(block);
    if (!count) return fail(std::move(count));
    const std::string_view bytes(block.data(), *count);
    std::vector<std::string> packets;
    if (framed_) {
      std::string text;
      console_.receive(as_bytes(lines_.receive(bytes)), packets, text);
    } else {
      if (assembler_.pending_bytes() > 0 && now >= partial_until_) assembler_.clear();
      assembler_.receive(as_bytes(bytes), packets);
      if (*count > 0) partial_until_ = now + kPartialTime;
    }
    for (std::string& packet : packets) requests.push_back({std::move(packet), {}});
    return write();
  }

  bool is_checked() const override { return framed_; }
  void frame(std::string& packet) const override {
    if (!framed_) return;
    std::string lines;
    smp::append_console_lines(lines, as_bytes(packet));
    packet = std::move(lines);
  }
  void send(const Parcel& framed) override { put(framed.bytes); }
  void print(std::string_view text) override {
    if (framed_) put(text);
  }
  std::size_t packet_limit(std::size_t buffer_bytes) const override {
    return framed_ ? buffer_bytes - kFrameBytes : buffer_bytes;
  }

  void pull() override {
    unsent_.clear();
    assembler_.clear();
    lines_.clear();
    console_ = {};
    port_.pull();
  }
  Result<void> plug() override { return port_.plug(); }

 private:
  void put(std::string_view bytes) {
    if (unsent_.size() + bytes.size() > kUnsentBytes) return;
    unsent_ += bytes;
    (void)write();  // what is broken shows in receive()
  }
  Result<void> write() {
    if (unsent_.empty()) return {};
    auto count = port_.write_some(unsent_);
    if (!count) return fail(std::move(count));
    unsent_.erase(0, *count);
    return {};
  }

  Port port_;
  bool framed_;
  LineReader lines_;
  smp::ConsoleReceiver console_;
  smp::PacketAssembler assembler_;
  MonotonicTime partial_until_{};
  std::string unsent_;
};

}  // namespace

Result<Place> parse_place(std::string_view text) {
  constexpr std::string_view kForms =
      "udp, tcp, serial or raw, and perhaps an address behind it, as udp:127.0.0.1:1337";
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = text.substr(std::min(colon + 1, text.size()));
  Place place;
  if (kind == "serial" || kind == "raw") {
    place.kind = kind == "raw" ? Place::Kind::kRaw : Place::Kind::kSerial;
    place.path = rest;
    return place;
  }
  if (kind != "udp" && kind != "tcp") {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no place to be reached at", printable(text)),
                std::string(kForms));
  }
  place.kind = kind == "tcp" ? Place::Kind::kTcp : Place::Kind::kUdp;
  if (colon == text.size()) return place;
  auto endpoint = io::parse_endpoint(rest);
  if (!endpoint) {
    Error error = std::move(endpoint).error();
    error.hint = kForms;  // not a unix socket
    return tl::make_unexpected(std::move(error));
  }
  if (!endpoint->path.empty())
    return fail(ErrorCode::kUsage, fmt::format("'{}': not over a unix socket", printable(text)));
  place.endpoint = *std::move(endpoint);
  return place;
}

Result<std::unique_ptr<Link>> open_link(const Place& place, std::size_t line_bytes) {
  if (place.kind == Place::Kind::kUdp) return UdpLink::open(place.endpoint);
  if (place.kind == Place::Kind::kTcp) {
    auto listener = io::Listener::create(place.endpoint);
    if (!listener) return fail(std::move(listener));
    return std::make_unique<StreamLink<TcpPort>>(TcpPort(*std::move(listener)), true, line_bytes);
  }
  const bool framed = place.kind == Place::Kind::kSerial;
  auto port = SerialPort::open(place.path, framed);
  if (!port) return fail(std::move(port));
  return std::make_unique<StreamLink<SerialPort>>(*std::move(port), framed, line_bytes);
}

}  // namespace fieldpipe::smp_device
