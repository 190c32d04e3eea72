// SPDX-License-Identifier: MIT
#include "smp_session/datagram_transport.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "smp/packet.h"

namespace fieldpipe::smp_session {
namespace {

// Headers of IP and UDP.
constexpr std::size_t kHeadersV4Bytes = 28;
constexpr std::size_t kHeadersV6Bytes = 48;

constexpr int kMostAtOnce = 64;  // datagrams, before the clock is looked at

std::size_t headers_bytes(const io::Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  ::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return address.ss_family == AF_INET6 ? kHeadersV6Bytes : kHeadersV4Bytes;
}

// Errors of a datagram before, which the next call reports: the device may be about to start.
bool is_passing(int error_number) {
  return error_number == ECONNREFUSED || error_number == EHOSTUNREACH || error_number == ENETUNREACH ||
         error_number == ENETDOWN || error_number == EHOSTDOWN;
}

}  // namespace

DatagramTransport::DatagramTransport(io::Descriptor socket, const TransportSettings& settings)
    : socket_(std::move(socket)), most_bytes_(settings.mtu_bytes - headers_bytes(socket_)) {}

Result<void> DatagramTransport::send(Bytes packet, bool) {
  unsent_.emplace_back(as_text(packet));
  return write();
}

Result<void> DatagramTransport::write() {
  while (!unsent_.empty()) {
    const std::string& packet = unsent_.front();
    if (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
      refused_ = refused_ || errno == ECONNREFUSED;
      // The error may be of a datagram before; this one is as good as lost then, and its time limit decides.
      if (!is_passing(errno)) return tl::make_unexpected(io::system_error("send", errno));
    }
    unsent_.pop_front();
  }
  return {};
}

void DatagramTransport::watch(io::Loop& loop) const {
  loop.watch(socket_.get(), static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT));
}

Result<void> DatagramTransport::advance(std::vector<std::string>& packets) {
  if (auto written = write(); !written) return written;
  // A datagram holds at most this (RFC 768); a longer packet cannot come.
  static thread_local std::array<char, 65536> block;
  for (int count = 0; count < kMostAtOnce; ++count) {
    const ssize_t size = ::recv(socket_.get(), block.data(), block.size(), 0);
    if (size >= 0) {
      refused_ = false;
      packets.emplace_back(block.data(), static_cast<std::size_t>(size));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    refused_ = refused_ || errno == ECONNREFUSED;
    if (errno != EINTR && !is_passing(errno)) return tl::make_unexpected(io::system_error("receive", errno));
  }
  return {};
}

std::size_t DatagramTransport::packet_limit(std::optional<std::size_t> buffer_bytes) const {
  return buffer_bytes ? std::min(*buffer_bytes, most_bytes_) : most_bytes_;
}

std::string DatagramTransport::silence_hint() const {
  return refused_ ? "the host says that nobody listens on this port" : "";
}

}  // namespace fieldpipe::smp_session
