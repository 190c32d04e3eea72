// SPDX-License-Identifier: MIT
#include "bluez/agent.h"

#include <systemd/sd-bus.h>

#include <utility>

namespace fieldpipe::bluez {
namespace {

constexpr const char* kPath = "/fieldpipe/agent";
constexpr const char* kManager = "org.bluez.AgentManager1";
constexpr const char* kRejected = "org.bluez.Error.Rejected";

}  // namespace

struct Agent::Methods {
  static int nothing(sd_bus_message* message, void*, sd_bus_error*) {
    return sd_bus_reply_method_return(message, nullptr);
  }

  static int request_passkey(sd_bus_message* message, void* self, sd_bus_error* error) {
    auto* agent = static_cast<Agent*>(self);
    if (!agent->passkey_) return sd_bus_error_set(error, kRejected, "no passkey");
    const auto passkey = agent->passkey_();
    if (!passkey) {
      agent->asked_ = tl::make_unexpected(passkey.error());
      return sd_bus_error_set(error, kRejected, "no passkey");
    }
    return sd_bus_reply_method_return(message, "u", *passkey);
  }

  // A number that both sides show, for a person to compare: nobody compares here, so with a passkey, which asks for
  // more than Just Works, it is refused.
  static int request_confirmation(sd_bus_message* message, void* self, sd_bus_error* error) {
    if (static_cast<Agent*>(self)->passkey_) return sd_bus_error_set(error, kRejected, "nobody compares");
    return sd_bus_reply_method_return(message, nullptr);
  }

  static const sd_bus_vtable* table() {
    static const sd_bus_vtable kTable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Release", "", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RequestPasskey", "o", "u", request_passkey, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("DisplayPasskey", "ouq", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RequestConfirmation", "ou", "", request_confirmation, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("RequestAuthorization", "o", "", request_confirmation, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Cancel", "", "", nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
    };
    return kTable;
  }
};

Result<std::unique_ptr<Agent>> Agent::enter(io::Loop& loop, Bus& bus, Passkey passkey, MonotonicTime deadline) {
  const char* capability = passkey ? "KeyboardDisplay" : "NoInputNoOutput";
  std::unique_ptr<Agent> agent(new Agent(bus, std::move(passkey)));
  sd_bus_slot* slot = nullptr;
  const int added =
      sd_bus_add_object_vtable(bus.get(), &slot, kPath, "org.bluez.Agent1", Methods::table(), agent.get());
  if (added < 0) return tl::make_unexpected(bus_error("agent", added));
  agent->slot_.reset(slot);
  auto request = bus.request("/org/bluez", kManager, "RegisterAgent");
  if (!request) return fail(std::move(request));
  if (const int appended = sd_bus_message_append(request->get(), "os", kPath, capability); appended < 0) {
    return tl::make_unexpected(bus_error("RegisterAgent", appended));
  }
  if (auto registered = bus.call(loop, *request, deadline); !registered) return fail(std::move(registered));
  return agent;
}

Agent::~Agent() {
  auto request = bus_.request("/org/bluez", kManager, "UnregisterAgent");
  if (request && sd_bus_message_append(request->get(), "o", kPath) >= 0) bus_.tell(*request);
}

}  // namespace fieldpipe::bluez
