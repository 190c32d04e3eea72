// SPDX-License-Identifier: MIT
// An org.bluez of our own with one adapter and one device in range, for tests without a radio.
//
//   fake_bluez [--udp PORT] [--mtu N] [--piece N] [--sockets no] [--bond justworks|DIGITS] [--powered no]
//              [--known no] [--resolved yes] [--leave N] [--busy N]
//
// The device sends back what it is sent or, with --udp, asks the SMP server on that port of this machine. Its
// notifications carry --piece bytes at most. Without sockets it has no AcquireWrite and AcquireNotify. With --bond it
// notifies only those it is paired with. A device that is not known yet appears once somebody looks for it; --resolved
// has it connected from the start; --leave disconnects it once, after so many writes; --busy says to so many attempts
// that another one is in progress. Prints "ready", and each pairing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace {

constexpr const char* kAdapter = "/org/bluez/hci0";
constexpr const char* kDevice = "/org/bluez/hci0/dev_C0_FF_EE_00_00_01";
constexpr const char* kService = "/org/bluez/hci0/dev_C0_FF_EE_00_00_01/service0010";
constexpr const char* kCharacteristic = "/org/bluez/hci0/dev_C0_FF_EE_00_00_01/service0010/char0011";
constexpr const char* kServiceUuid = "8d53dc1d-1db7-4cd3-868b-8a527460aa84";
constexpr const char* kCharacteristicUuid = "da2e7828-fbce-4e01-ae9e-261174997c48";

constexpr const char* kDeviceInterface = "org.bluez.Device1";
constexpr const char* kServiceInterface = "org.bluez.GattService1";
constexpr const char* kCharacteristicInterface = "org.bluez.GattCharacteristic1";

// What sd-bus reads and writes by itself, at an offset.
struct Shown {
  int powered = 1;
  int connected = 0;
  int resolved = 0;
  int paired = 0;
  int trusted = 0;
  std::uint16_t mtu = 65;
};

// `shown` comes first, so that the offsets hold for both.
struct World {
  Shown shown;
  std::map<std::string, std::string> options;
  sd_bus* bus = nullptr;
  bool in_range = false;  // the object of the device exists
  bool has_services = false;
  bool notifying = false;
  int writes = -1;  // our ends of the sockets
  int notifications = -1;
  int server = -1;      // UDP
  std::string request;  // what has come of a packet for it
  std::string value;    // the last notification
  long writes_left = -1;
  long busy = 0;
  sd_bus_message* pairing = nullptr;  // the call of Pair that waits for the agent
  std::string agent_name;
  std::string agent_path;
  sd_bus_slot* device_slot = nullptr;

  [[nodiscard]] std::string option(const std::string& name, const std::string& otherwise) const {
    const auto found = options.find(name);
    return found != options.end() ? found->second : otherwise;
  }
};

void check(int result, const char* what) {
  if (result >= 0) return;
  std::fprintf(stderr, "fake_bluez: %s: %s\n", what, std::strerror(-result));
  std::exit(70);
}

void changed(World& world, const char* object, const char* interface, const char* property) {
  check(sd_bus_emit_properties_changed(world.bus, object, interface, property, nullptr), property);
}

void close_sockets(World& world) {
  for (int* fd : {&world.writes, &world.notifications}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  world.notifying = false;
}

void disconnect(World& world) {
  close_sockets(world);
  world.request.clear();
  world.shown.connected = world.shown.resolved = 0;
  changed(world, kDevice, kDeviceInterface, "ServicesResolved");
  changed(world, kDevice, kDeviceInterface, "Connected");
}

// What the device has to say, as notifications.
void notify(World& world, const std::string& bytes) {
  const auto piece = static_cast<std::size_t>(std::stoul(world.option("--piece", std::to_string(world.shown.mtu - 3))));
  for (std::size_t begin = 0; begin < bytes.size(); begin += piece) {
    world.value = bytes.substr(begin, piece);
    if (world.notifications >= 0) {
      if (::send(world.notifications, world.value.data(), world.value.size(), MSG_NOSIGNAL) < 0) return;
    } else if (world.notifying) {
      changed(world, kCharacteristic, kCharacteristicInterface, "Value");
    }
  }
}

// A write without response has arrived at the device.
void take_write(World& world, const std::string& bytes) {
  if (world.writes_left == 0) {
    world.writes_left = -1;
    return disconnect(world);
  }
  if (world.writes_left > 0) --world.writes_left;
  if (world.server < 0) return notify(world, bytes);
  world.request += bytes;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(world.request[i]); };
  while (world.request.size() >= 8) {
    const std::size_t size = 8U + (std::size_t{at(2)} << 8U) + at(3);
    if (world.request.size() < size) return;
    if (::send(world.server, world.request.data(), size, 0) < 0) std::perror("fake_bluez: server");
    world.request.erase(0, size);
  }
}

int refuse(sd_bus_error* error, const char* name, const char* why) { return sd_bus_error_set(error, name, why); }

World& world_of(void* user) { return *static_cast<World*>(user); }

int answer(sd_bus_message* message) { return sd_bus_reply_method_return(message, nullptr); }

// ---- characteristic

bool wants_bond(const World& world) { return !world.option("--bond", "").empty() && world.shown.paired == 0; }

int acquire(World& world, sd_bus_message* message, int& ours) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::exit(71);
  ours = ends[0];
  const int replied = sd_bus_reply_method_return(message, "hq", ends[1], world.shown.mtu);
  ::close(ends[1]);
  return replied;
}

int acquire_write(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (world.option("--sockets", "yes") == "no") return refuse(error, "org.bluez.Error.NotSupported", "not supported");
  return acquire(world, message, world.writes);
}

int acquire_notify(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (wants_bond(world)) return refuse(error, "org.bluez.Error.NotPermitted", "Not paired");
  if (world.option("--sockets", "yes") == "no") return refuse(error, "org.bluez.Error.NotSupported", "not supported");
  return acquire(world, message, world.notifications);
}

int write_value(sd_bus_message* message, void* user, sd_bus_error*) {
  const void* bytes = nullptr;
  std::size_t size = 0;
  check(sd_bus_message_read_array(message, 'y', &bytes, &size), "WriteValue");
  const std::string written(static_cast<const char*>(bytes), size);
  const int replied = answer(message);
  take_write(world_of(user), written);
  return replied;
}

int start_notify(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (wants_bond(world)) return refuse(error, "org.bluez.Error.NotPermitted", "Not paired");
  world.notifying = true;
  return answer(message);
}

int stop_notify(sd_bus_message* message, void* user, sd_bus_error*) {
  world_of(user).notifying = false;
  return answer(message);
}

int get_value(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* user, sd_bus_error*) {
  const std::string& value = world_of(user).value;
  return sd_bus_message_append_array(reply, 'y', value.data(), value.size());
}

int get_flags(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) {
  return sd_bus_message_append(reply, "as", 2, "write-without-response", "notify");
}

int get_text(sd_bus*, const char*, const char* interface, const char* property, sd_bus_message* reply, void*,
             sd_bus_error*) {
  const std::string name = std::string(interface) + "." + property;
  if (name == "org.bluez.GattCharacteristic1.UUID") return sd_bus_message_append(reply, "s", kCharacteristicUuid);
  if (name == "org.bluez.GattCharacteristic1.Service") return sd_bus_message_append(reply, "o", kService);
  if (name == "org.bluez.GattService1.UUID") return sd_bus_message_append(reply, "s", kServiceUuid);
  if (name == "org.bluez.Device1.Address") return sd_bus_message_append(reply, "s", "C0:FF:EE:00:00:01");
  return sd_bus_message_append(reply, "s", "Bench Device");
}

// ---- device

int get_signal(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) {
  return sd_bus_message_append(reply, "n", -58);
}

int get_uuids(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) {
  return sd_bus_message_append(reply, "as", 1, kServiceUuid);
}

const sd_bus_vtable kCharacteristicTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("UUID", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Service", "o", get_text, 0, 0),
    SD_BUS_PROPERTY("Flags", "as", get_flags, 0, 0),
    SD_BUS_PROPERTY("MTU", "q", nullptr, offsetof(Shown, mtu), 0),
    SD_BUS_PROPERTY("Value", "ay", get_value, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_METHOD("AcquireWrite", "a{sv}", "hq", acquire_write, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("AcquireNotify", "a{sv}", "hq", acquire_notify, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("WriteValue", "aya{sv}", "", write_value, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartNotify", "", "", start_notify, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopNotify", "", "", stop_notify, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

const sd_bus_vtable kServiceTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("UUID", "s", get_text, 0, 0),
    SD_BUS_VTABLE_END,
};

void resolve(World& world) {
  if (!world.has_services) {
    world.has_services = true;
    check(sd_bus_add_object_vtable(world.bus, nullptr, kService, kServiceInterface, kServiceTable, &world), kService);
    check(sd_bus_add_object_vtable(world.bus, nullptr, kCharacteristic, kCharacteristicInterface, kCharacteristicTable,
                                   &world),
          kCharacteristic);
    check(sd_bus_emit_object_added(world.bus, kService), kService);
    check(sd_bus_emit_object_added(world.bus, kCharacteristic), kCharacteristic);
  }
  world.shown.resolved = 1;
}

int connect(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (world.busy > 0) {
    --world.busy;
    return refuse(error, "org.bluez.Error.InProgress", "Operation already in progress");
  }
  const int replied = answer(message);
  world.shown.connected = 1;
  changed(world, kDevice, kDeviceInterface, "Connected");
  resolve(world);
  changed(world, kDevice, kDeviceInterface, "ServicesResolved");
  return replied;
}

int leave(sd_bus_message* message, void* user, sd_bus_error*) {
  disconnect(world_of(user));
  return answer(message);
}

int agent_answered(sd_bus_message* reply, void* user, sd_bus_error*) {
  World& world = world_of(user);
  sd_bus_message* pairing = std::exchange(world.pairing, nullptr);
  const std::string bond = world.option("--bond", "justworks");
  std::uint32_t passkey = 0;
  const bool agreed =
      sd_bus_message_get_error(reply) == nullptr &&
      (bond == "justworks" || (sd_bus_message_read(reply, "u", &passkey) > 0 && std::to_string(passkey) == bond));
  if (agreed) {
    world.shown.paired = 1;
    std::printf("paired\n");
    changed(world, kDevice, kDeviceInterface, "Paired");
    answer(pairing);
  } else {
    std::printf("not paired\n");
    sd_bus_reply_method_errorf(pairing, "org.bluez.Error.AuthenticationFailed", "Authentication Failed");
  }
  std::fflush(stdout);
  sd_bus_message_unref(pairing);
  return 0;
}

int pair(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (world.agent_name.empty()) return refuse(error, "org.bluez.Error.AuthenticationFailed", "no agent");
  world.pairing = sd_bus_message_ref(message);
  const bool just_works = world.option("--bond", "justworks") == "justworks";
  check(sd_bus_call_method_async(world.bus, nullptr, world.agent_name.c_str(), world.agent_path.c_str(),
                                 "org.bluez.Agent1", just_works ? "RequestAuthorization" : "RequestPasskey",
                                 agent_answered, &world, "o", kDevice),
        "agent");
  return 1;
}

int nothing(sd_bus_message* message, void*, sd_bus_error*) { return answer(message); }

const sd_bus_vtable kDeviceTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Address", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("Name", "s", get_text, 0, 0),
    SD_BUS_PROPERTY("RSSI", "n", get_signal, 0, 0),
    SD_BUS_PROPERTY("UUIDs", "as", get_uuids, 0, 0),
    SD_BUS_PROPERTY("Connected", "b", nullptr, offsetof(Shown, connected), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("ServicesResolved", "b", nullptr, offsetof(Shown, resolved), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Paired", "b", nullptr, offsetof(Shown, paired), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_WRITABLE_PROPERTY("Trusted", "b", nullptr, nullptr, offsetof(Shown, trusted), 0),
    SD_BUS_METHOD("Connect", "", "", connect, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Disconnect", "", "", leave, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Pair", "", "", pair, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("CancelPairing", "", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

// ---- adapter and agents

void appear(World& world) {
  if (world.in_range) return;
  world.in_range = true;
  check(sd_bus_add_object_vtable(world.bus, &world.device_slot, kDevice, kDeviceInterface, kDeviceTable, &world),
        kDevice);
  check(sd_bus_emit_object_added(world.bus, kDevice), kDevice);
}

int start_discovery(sd_bus_message* message, void* user, sd_bus_error*) {
  const int replied = answer(message);
  appear(world_of(user));
  return replied;
}

int remove_device(sd_bus_message* message, void* user, sd_bus_error* error) {
  World& world = world_of(user);
  if (!world.in_range) return refuse(error, "org.bluez.Error.DoesNotExist", "Does Not Exist");
  check(sd_bus_emit_object_removed(world.bus, kDevice), kDevice);
  world.device_slot = sd_bus_slot_unref(world.device_slot);
  world.in_range = false;
  world.shown.paired = 0;
  return answer(message);
}

int register_agent(sd_bus_message* message, void* user, sd_bus_error*) {
  World& world = world_of(user);
  const char* path = nullptr;
  check(sd_bus_message_read(message, "o", &path), "RegisterAgent");
  world.agent_name = sd_bus_message_get_sender(message);
  world.agent_path = path;
  return answer(message);
}

const sd_bus_vtable kAdapterTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Powered", "b", nullptr, offsetof(Shown, powered), 0),
    SD_BUS_METHOD("SetDiscoveryFilter", "a{sv}", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartDiscovery", "", "", start_discovery, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StopDiscovery", "", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RemoveDevice", "o", "", remove_device, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

const sd_bus_vtable kAgentManagerTable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("RegisterAgent", "os", "", register_agent, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UnregisterAgent", "o", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

int connect_server(const std::string& port) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::exit(71);
  return fd;
}

void serve(World& world) {
  pollfd watched[] = {{sd_bus_get_fd(world.bus), static_cast<short>(sd_bus_get_events(world.bus)), 0},
                      {world.writes, POLLIN, 0},
                      {world.server, POLLIN, 0}};
  if (::poll(watched, std::size(watched), -1) < 0) return;
  char bytes[65536];
  if (watched[1].revents != 0) {
    const ssize_t size = ::recv(world.writes, bytes, sizeof bytes, 0);
    if (size > 0) {
      take_write(world, std::string(bytes, static_cast<std::size_t>(size)));
    } else {
      close_sockets(world);
    }
  }
  if (watched[2].revents != 0) {
    const ssize_t size = ::recv(world.server, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size > 0) notify(world, std::string(bytes, static_cast<std::size_t>(size)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  World world;
  for (int i = 1; i + 1 < argc; i += 2) world.options[argv[i]] = argv[i + 1];
  world.shown.mtu = static_cast<std::uint16_t>(std::stoul(world.option("--mtu", "65")));
  world.shown.powered = world.option("--powered", "yes") == "yes" ? 1 : 0;
  world.writes_left = std::stol(world.option("--leave", "-1"));
  world.busy = std::stol(world.option("--busy", "0"));
  if (world.options.contains("--udp")) world.server = connect_server(world.options["--udp"]);

  check(sd_bus_open_system(&world.bus), "bus");
  check(sd_bus_add_object_manager(world.bus, nullptr, "/"), "/");
  check(sd_bus_add_object_vtable(world.bus, nullptr, kAdapter, "org.bluez.Adapter1", kAdapterTable, &world), kAdapter);
  check(
      sd_bus_add_object_vtable(world.bus, nullptr, "/org/bluez", "org.bluez.AgentManager1", kAgentManagerTable, &world),
      "/org/bluez");
  if (world.option("--known", "yes") == "yes") appear(world);
  if (world.option("--resolved", "no") == "yes") {
    world.shown.connected = 1;
    resolve(world);
  }
  check(sd_bus_request_name(world.bus, "org.bluez", 0), "org.bluez");
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) {
    while (sd_bus_process(world.bus, nullptr) > 0) {
    }
    serve(world);
  }
}
