// SPDX-License-Identifier: MIT
#include "bluez/peripheral.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::bluez {
namespace {

constexpr const char* kAdapter = "org.bluez.Adapter1";
constexpr const char* kDevice = "org.bluez.Device1";
constexpr const char* kService = "org.bluez.GattService1";
constexpr const char* kCharacteristic = "org.bluez.GattCharacteristic1";

// What an attribute write or notification has in front (Bluetooth Core 5.3, vol 3, part F, 3.4.5.3 and 3.4.7.1), and
// the MTU that every device has to offer (part G, 5.2.1).
constexpr std::size_t kAttributeHeaderBytes = 3;
constexpr std::size_t kLeastMtu = 23;
constexpr std::size_t kMostAttributeBytes = 512;

// Zephyr's notifications are as long as the MTU allows, also where that is more than an attribute; BlueZ takes an MTU
// of up to 517.
constexpr std::size_t kMostNotificationBytes = 1024;

// A first attempt to connect is often lost in the air; BlueZ then says so, and the next one works.
constexpr int kMostAttempts = 5;

// Between two of them, and while another program connects.
constexpr std::chrono::milliseconds kConnectPause{250};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

Result<std::string> find_adapter(const Objects& objects, const std::string& wanted) {
  std::string off;
  for (const auto& [path, interfaces] : objects.all()) {
    if (!interfaces.contains(kAdapter)) continue;
    if (!wanted.empty() && path != "/org/bluez/" + wanted) continue;
    if (objects.is_true(path, kAdapter, "Powered")) return path;
    if (off.empty()) off = path;
  }
  if (!off.empty()) {
    return fail(ErrorCode::kUnavailable, fmt::format("adapter {}: is off", off.substr(off.rfind('/') + 1)),
                "bluetoothctl power on");
  }
  return fail(ErrorCode::kUnavailable, wanted.empty() ? std::string("no Bluetooth adapter")
                                                      : fmt::format("adapter '{}': there is none", printable(wanted)));
}

Peripheral describe(const Objects& objects, const std::string& path) {
  Peripheral found;
  if (const auto* address = objects.find<std::string>(path, kDevice, "Address")) found.address = *address;
  if (const auto* name = objects.find<std::string>(path, kDevice, "Name")) found.name = *name;
  if (const auto* rssi = objects.find<std::int64_t>(path, kDevice, "RSSI")) found.rssi = static_cast<int>(*rssi);
  if (const auto* uuids = objects.find<std::vector<std::string>>(path, kDevice, "UUIDs")) found.services = *uuids;
  found.paired = objects.is_true(path, kDevice, "Paired");
  return found;
}

bool is_device_of(const std::string& path, const Interfaces& interfaces, const std::string& adapter) {
  return path.starts_with(adapter + "/") && interfaces.contains(kDevice);
}

Result<Message> call(io::Loop& loop, Bus& bus, const std::string& object, const char* interface, const char* method,
                     MonotonicTime deadline) {
  auto request = bus.request(object, interface, method);
  if (!request) return fail(std::move(request));
  return bus.call(loop, *request, deadline);
}

// Discovery that ends with its owner.
class Discovery {
 public:
  static Result<Discovery> start(io::Loop& loop, Bus& bus, std::string adapter, MonotonicTime deadline) {
    auto filter = bus.request(adapter, kAdapter, "SetDiscoveryFilter");
    if (!filter) return fail(std::move(filter));
    // Not by service: many devices do not advertise theirs.
    const int appended = sd_bus_message_append(filter->get(), "a{sv}", 1, "Transport", "s", "le");
    if (appended < 0) return tl::make_unexpected(bus_error("SetDiscoveryFilter", appended));
    if (auto set = bus.call(loop, *filter, deadline); !set) return fail(std::move(set));
    if (auto started = bluez::call(loop, bus, adapter, kAdapter, "StartDiscovery", deadline); !started) {
      return fail(std::move(started));
    }
    return Discovery(bus, std::move(adapter));
  }

  Discovery(Discovery&& other) noexcept : bus_(other.bus_), adapter_(std::exchange(other.adapter_, {})) {}
  Discovery& operator=(Discovery&&) = delete;
  ~Discovery() {
    if (adapter_.empty()) return;
    if (auto stop = bus_.request(adapter_, kAdapter, "StopDiscovery")) bus_.tell(*stop);
  }

 private:
  Discovery(Bus& bus, std::string adapter) : bus_(bus), adapter_(std::move(adapter)) {}

  Bus& bus_;
  std::string adapter_;
};

// The path of the device, or nothing while it is not known.
std::optional<std::string> find_device(const Objects& objects, const std::string& adapter, const std::string& wanted) {
  for (const auto& [path, interfaces] : objects.all()) {
    if (!is_device_of(path, interfaces, adapter)) continue;
    const Peripheral found = describe(objects, path);
    if (is_address(wanted) ? equal_ignoring_case(found.address, wanted) : found.name == wanted) return path;
  }
  return std::nullopt;
}

Result<std::string> await_device(io::Loop& loop, Bus& bus, const Objects& objects, const std::string& adapter,
                                 const std::string& wanted, MonotonicTime deadline) {
  if (auto known = find_device(objects, adapter, wanted)) return *std::move(known);
  auto discovery = Discovery::start(loop, bus, adapter, deadline);
  if (!discovery) return fail(std::move(discovery));
  for (;;) {
    if (auto known = find_device(objects, adapter, wanted)) return *std::move(known);
    if (auto turned = bus.turn(loop, deadline, "looking for it"); !turned) {
      if (loop.stop_signal()) return fail(std::move(turned));
      return fail(ErrorCode::kUnavailable, "no such device was seen in time", "whether it advertises, shows a scan");
    }
  }
}

std::optional<std::string> find_characteristic(const Objects& objects, const std::string& device,
                                               const LinkOptions& options) {
  for (const auto& [path, interfaces] : objects.all()) {
    if (!path.starts_with(device + "/") || !interfaces.contains(kCharacteristic)) continue;
    const auto* uuid = objects.find<std::string>(path, kCharacteristic, "UUID");
    const auto* service = objects.find<std::string>(path, kCharacteristic, "Service");
    if (uuid == nullptr || service == nullptr || !equal_ignoring_case(*uuid, options.characteristic)) continue;
    const auto* owner = objects.find<std::string>(*service, kService, "UUID");
    if (owner != nullptr && equal_ignoring_case(*owner, options.service)) return path;
  }
  return std::nullopt;
}

bool asks_for_bond(const Error& error) {
  const std::string_view name = error_name(error);
  // What BlueZ makes of the ATT errors insufficient authentication, authorization and encryption.
  return name == "org.bluez.Error.NotAuthorized" || name == "org.bluez.Error.NotPermitted" ||
         (name == "org.bluez.Error.Failed" && error.what.find("0x0f") != std::string::npos) ||
         (name == "org.bluez.Error.Failed" && error.what.find("0x05") != std::string::npos);
}

bool is_not_offered(const Error& error) {
  const std::string_view name = error_name(error);
  return name == "org.bluez.Error.NotSupported" || name == "org.bluez.Error.NotPermitted" ||
         name == "org.freedesktop.DBus.Error.UnknownMethod";
}

}  // namespace

bool is_address(std::string_view text) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

Result<void> scan(io::Loop& loop, const std::string& adapter, MonotonicTime until,
                  const std::function<void(const Peripheral&)>& visit) {
  auto bus = Bus::open();
  if (!bus) return fail(std::move(bus));
  auto objects = Objects::follow(loop, *bus, until);
  if (!objects) return fail(std::move(objects));
  auto path = find_adapter(**objects, adapter);
  if (!path) return fail(std::move(path));
  auto discovery = Discovery::start(loop, *bus, *path, until);
  if (!discovery) return fail(std::move(discovery));
  std::set<std::string> shown;
  const auto show = [&](bool nameless) {
    for (const auto& [object, interfaces] : (*objects)->all()) {
      if (!is_device_of(object, interfaces, *path) || shown.contains(object)) continue;
      const Peripheral found = describe(**objects, object);
      // What BlueZ remembers and does not hear now has no signal strength; a name may come with a later packet.
      if (!found.rssi || (found.name.empty() && !nameless)) continue;
      shown.insert(object);
      visit(found);
    }
  };
  while (monotonic_now() < until && !loop.stop_signal()) {
    show(false);
    bus->watch(loop);
    if (auto waited = loop.wait(std::min(until, bus->deadline())); !waited) return waited;
    if (auto processed = bus->process(); !processed) return processed;
  }
  show(true);
  return {};
}

struct Link::State {
  explicit State(Bus opened) : bus(std::move(opened)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    // First the sockets: closing them is what releases the characteristic.
    writes = {};
    notifications = {};
    if (!connected_by_us) return;
    if (auto request = bus.request(device, kDevice, "Disconnect")) bus.tell(*request);
  }

  Result<void> connect(io::Loop& loop, MonotonicTime deadline);
  Result<void> pair(io::Loop& loop, MonotonicTime deadline);
  Result<void> open_notifications(io::Loop& loop, MonotonicTime deadline);
  Result<void> open_writes(io::Loop& loop, MonotonicTime deadline);
  Result<std::pair<io::Descriptor, std::size_t>> acquire(io::Loop& loop, const char* method, MonotonicTime deadline);
  Result<void> write_value(Bytes piece);
  Result<void> send_queued();
  Result<void> read_notifications();
  [[nodiscard]] bool is_gone() const { return was_connected && !objects->is_true(device, kDevice, "Connected"); }

  Bus bus;
  LinkOptions options;
  std::unique_ptr<Objects> objects;
  std::string device;
  std::string characteristic;
  bool connected_by_us = false;
  bool was_connected = false;
  io::Descriptor writes;         // none: WriteValue
  io::Descriptor notifications;  // none: StartNotify
  std::size_t mtu = kLeastMtu;
  std::deque<std::string> queue;  // pieces to write
  Call writing;                   // WriteValue of the last piece
  std::vector<std::string> received;
};

Result<void> Link::State::connect(io::Loop& loop, MonotonicTime deadline) {
  for (int attempt = 1; !objects->is_true(device, kDevice, "Connected"); ++attempt) {
    auto connected = call(loop, bus, device, kDevice, "Connect", deadline);
    if (connected) {
      connected_by_us = true;
      break;
    }
    const std::string_view name = error_name(connected.error());
    if (name == "org.bluez.Error.AlreadyConnected") break;
    const bool waits = name == "org.bluez.Error.InProgress";
    const bool again = waits || (name == "org.bluez.Error.Failed" && attempt < kMostAttempts);
    const MonotonicTime wake = monotonic_now() + kConnectPause;
    if (!again || wake >= deadline) return fail(std::move(connected));
    while (monotonic_now() < wake) {
      if (auto turned = bus.turn(loop, wake, "connecting"); !turned && monotonic_now() < wake) return turned;
    }
  }
  while (!objects->is_true(device, kDevice, "ServicesResolved")) {
    if (auto turned = bus.turn(loop, deadline, "resolving its services"); !turned) return turned;
    // The answer to Connect may come before the property changes.
    was_connected = was_connected || objects->is_true(device, kDevice, "Connected");
    if (is_gone()) return fail(ErrorCode::kUnavailable, "disconnected while its services were read");
  }
  was_connected = true;
  return {};
}

Result<void> Link::State::pair(io::Loop& loop, MonotonicTime deadline) {
  auto agent = Agent::enter(loop, bus, options.passkey, deadline);
  if (!agent) return fail(std::move(agent));
  auto paired = call(loop, bus, device, kDevice, "Pair", deadline);
  if (!paired && error_name(paired.error()) != "org.bluez.Error.AlreadyExists") {
    if (!(*agent)->asked()) return (*agent)->asked();
    if (auto cancel = bus.request(device, kDevice, "CancelPairing")) bus.tell(*cancel);
    return tl::make_unexpected(std::move(paired).error().in("pairing"));
  }
  // So that BlueZ takes a connection which the device makes later.
  auto trust = bus.request(device, "org.freedesktop.DBus.Properties", "Set");
  if (!trust) return fail(std::move(trust));
  const int appended = sd_bus_message_append(trust->get(), "ssv", kDevice, "Trusted", "b", 1);
  if (appended < 0) return tl::make_unexpected(bus_error("Trusted", appended));
  if (auto set = bus.call(loop, *trust, deadline); !set) return fail(std::move(set));
  return {};
}

Result<std::pair<io::Descriptor, std::size_t>> Link::State::acquire(io::Loop& loop, const char* method,
                                                                    MonotonicTime deadline) {
  auto request = bus.request(characteristic, kCharacteristic, method);
  if (!request) return fail(std::move(request));
  if (const int appended = sd_bus_message_append(request->get(), "a{sv}", 0); appended < 0) {
    return tl::make_unexpected(bus_error(method, appended));
  }
  auto answer = bus.call(loop, *request, deadline);
  if (!answer) return fail(std::move(answer));
  int fd = -1;
  std::uint16_t acquired_mtu = 0;
  if (const int read = sd_bus_message_read(answer->get(), "hq", &fd, &acquired_mtu); read < 0) {
    return tl::make_unexpected(bus_error(method, read));
  }
  io::Descriptor own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));  // the message closes its own
  if (!own || ::fcntl(own.get(), F_SETFL, O_NONBLOCK) != 0) {
    return tl::make_unexpected(io::system_error(method, errno));
  }
  return std::pair(std::move(own), static_cast<std::size_t>(acquired_mtu));
}

Result<void> Link::State::open_notifications(io::Loop& loop, MonotonicTime deadline) {
  auto acquired = acquire(loop, "AcquireNotify", deadline);
  if (acquired) {
    notifications = std::move(acquired->first);
    mtu = std::max(kLeastMtu, acquired->second);
    return {};
  }
  if (!is_not_offered(acquired.error())) return fail(std::move(acquired));
  objects->collect(characteristic);
  if (auto started = call(loop, bus, characteristic, kCharacteristic, "StartNotify", deadline); !started) {
    return fail(std::move(started));
  }
  return {};
}

Result<void> Link::State::open_writes(io::Loop& loop, MonotonicTime deadline) {
  auto acquired = acquire(loop, "AcquireWrite", deadline);
  if (acquired) {
    writes = std::move(acquired->first);
    mtu = std::max(kLeastMtu, acquired->second);
    return {};
  }
  if (!is_not_offered(acquired.error())) return fail(std::move(acquired));
  if (const auto* known = objects->find<std::int64_t>(characteristic, kCharacteristic, "MTU")) {
    mtu = std::max(kLeastMtu, static_cast<std::size_t>(*known));
  }
  return {};
}

Result<void> Link::State::write_value(Bytes piece) {
  auto request = bus.request(characteristic, kCharacteristic, "WriteValue");
  if (!request) return fail(std::move(request));
  int appended = sd_bus_message_append_array(request->get(), 'y', piece.data(), piece.size());
  if (appended >= 0) appended = sd_bus_message_append(request->get(), "a{sv}", 1, "type", "s", "command");
  if (appended < 0) return tl::make_unexpected(bus_error("WriteValue", appended));
  return bus.start(*request, writing);
}

// One piece after the other, because a device puts them together in the order in which they come.
Result<void> Link::State::send_queued() {
  while (!queue.empty()) {
    const Bytes piece = as_bytes(queue.front());
    if (writes) {
      const ssize_t sent = ::send(writes.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return {};
      if (sent < 0) return fail(ErrorCode::kUnavailable, "the device disconnected");
    } else {
      if (writing.slot && !writing.answer) return {};
      if (writing.answer && !*writing.answer) return fail(*std::move(writing.answer));
      if (auto started = write_value(piece); !started) return started;
    }
    queue.pop_front();
  }
  return {};
}

Result<void> Link::State::read_notifications() {
  std::array<char, kMostNotificationBytes> notification;
  while (notifications) {
    const ssize_t size = ::recv(notifications.get(), notification.data(), notification.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) return fail(ErrorCode::kUnavailable, "the device disconnected");
    received.emplace_back(notification.data(), static_cast<std::size_t>(size));
  }
  auto& values = objects->notifications();
  std::move(values.begin(), values.end(), std::back_inserter(received));
  values.clear();
  return {};
}

Result<Link> Link::connect(io::Loop& loop, LinkOptions options, MonotonicTime deadline) {
  auto bus = Bus::open();
  if (!bus) return fail(std::move(bus));
  auto state = std::make_unique<State>(*std::move(bus));
  state->options = std::move(options);
  auto objects = Objects::follow(loop, state->bus, deadline);
  if (!objects) return fail(std::move(objects));
  state->objects = *std::move(objects);
  const auto adapter = find_adapter(*state->objects, state->options.adapter);
  if (!adapter) return tl::make_unexpected(adapter.error());

  if (state->options.forget) {
    if (const auto known = find_device(*state->objects, *adapter, state->options.peripheral)) {
      auto remove = state->bus.request(*adapter, kAdapter, "RemoveDevice");
      if (!remove) return fail(std::move(remove));
      const int appended = sd_bus_message_append(remove->get(), "o", known->c_str());
      if (appended < 0) return tl::make_unexpected(bus_error("RemoveDevice", appended));
      if (auto removed = state->bus.call(loop, *remove, deadline); !removed) return fail(std::move(removed));
    }
  }
  auto device = await_device(loop, state->bus, *state->objects, *adapter, state->options.peripheral, deadline);
  if (!device) return fail(std::move(device));
  state->device = *std::move(device);
  if (auto connected = state->connect(loop, deadline); !connected) return fail(std::move(connected));
  bool paired = false;
  if (state->options.pair && !state->objects->is_true(state->device, kDevice, "Paired")) {
    if (auto made = state->pair(loop, deadline); !made) return fail(std::move(made));
    paired = true;
  }
  auto characteristic = find_characteristic(*state->objects, state->device, state->options);
  if (!characteristic) {
    return fail(ErrorCode::kRefused, fmt::format("it has no characteristic {}", state->options.characteristic),
                "the firmware has no such service, or BlueZ remembers older ones and has to forget the device");
  }
  state->characteristic = *std::move(characteristic);

  // A device that wants a bond says so here: a write without response is never refused.
  auto opened = state->open_notifications(loop, deadline);
  if (!opened && !paired && asks_for_bond(opened.error())) {
    if (auto made = state->pair(loop, deadline); !made) return fail(std::move(made));
    opened = state->open_notifications(loop, deadline);
  }
  if (!opened) return fail(std::move(opened));
  if (opened = state->open_writes(loop, deadline); !opened) return fail(std::move(opened));
  return Link(std::move(state));
}

Link::Link(std::unique_ptr<State> state) : state_(std::move(state)) {}
Link::Link(Link&&) noexcept = default;
Link& Link::operator=(Link&&) noexcept = default;
Link::~Link() = default;

std::size_t Link::payload_bytes() const { return std::min(state_->mtu - kAttributeHeaderBytes, kMostAttributeBytes); }

void Link::send(Bytes packet) {
  const std::string_view bytes(reinterpret_cast<const char*>(packet.data()), packet.size());
  for (std::size_t begin = 0; begin < bytes.size(); begin += payload_bytes()) {
    state_->queue.emplace_back(bytes.substr(begin, payload_bytes()));
  }
}

void Link::watch(io::Loop& loop) const {
  state_->bus.watch(loop);
  loop.watch(state_->notifications.get(), POLLIN);
  if (!state_->queue.empty()) loop.watch(state_->writes.get(), POLLOUT);
}

MonotonicTime Link::deadline() const { return state_->bus.deadline(); }

Result<void> Link::handle() {
  if (auto processed = state_->bus.process(); !processed) return processed;
  auto sent = state_->send_queued();
  if (auto read = state_->read_notifications(); !read) return read;
  // What it said before it went is still worth something.
  if (!state_->received.empty()) return {};
  if (state_->is_gone()) return fail(ErrorCode::kUnavailable, "the device disconnected");
  return sent;
}

std::vector<std::string>& Link::received() const { return state_->received; }

}  // namespace fieldpipe::bluez
