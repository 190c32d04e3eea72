// SPDX-License-Identifier: MIT
#include "bluez/bus.h"

#include <poll.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::bluez {
namespace {

constexpr const char* kService = "org.bluez";
constexpr std::string_view kErrors = "org.bluez.Error.";

struct Known {
  std::string_view name;
  ErrorCode code;
  std::string_view hint;
};

// bluez `doc/device-api.txt`, `doc/gatt-api.txt`, `doc/adapter-api.txt`.
constexpr auto kKnown = std::to_array<Known>({
    {"org.bluez.Error.NotReady", ErrorCode::kUnavailable, "the adapter is off: bluetoothctl power on"},
    {"org.bluez.Error.NotAuthorized", ErrorCode::kDenied, "the device wants to be paired"},
    {"org.bluez.Error.NotPermitted", ErrorCode::kDenied, "the device wants to be paired, or another program uses it"},
    {"org.bluez.Error.AuthenticationFailed", ErrorCode::kDenied, "wrong passkey, or a bond that the device forgot"},
    {"org.bluez.Error.AuthenticationCanceled", ErrorCode::kDenied, ""},
    {"org.bluez.Error.AuthenticationRejected", ErrorCode::kDenied, ""},
    {"org.bluez.Error.AuthenticationTimeout", ErrorCode::kUnavailable, ""},
    {"org.bluez.Error.DoesNotExist", ErrorCode::kUnavailable, ""},
    {"org.freedesktop.DBus.Error.ServiceUnknown", ErrorCode::kUnavailable, "bluetoothd does not run"},
    {"org.freedesktop.DBus.Error.AccessDenied", ErrorCode::kDenied, "the policy of the system bus forbids it"},
});

Error call_error(const sd_bus_error& error) {
  const std::string_view name = error.name != nullptr ? error.name : "";
  const auto* known = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& k) { return k.name == name; });
  const bool is_known = known != kKnown.end();
  return Error{
      is_known ? known->code : ErrorCode::kUnavailable,
      fmt::format("{}: {}", printable(name), printable(error.message != nullptr ? error.message : "no reason")),
      std::string(is_known ? known->hint : ""),
      {}};
}

}  // namespace

void MessageDeleter::operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }

void SlotDeleter::operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }

// What was sent and not written yet is to leave too: a Disconnect is the last thing one says.
void Bus::Closer::operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }

std::string_view error_name(const Error& error) {
  const std::string_view name = std::string_view(error.what).substr(0, error.what.find(':'));
  return name.starts_with(kErrors) || name.starts_with("org.freedesktop.") ? name : std::string_view();
}

Error bus_error(const char* action, int negative_errno) {
  return Error{ErrorCode::kUnavailable, fmt::format("{}: {}", action, std::strerror(-negative_errno)), "", {}};
}

Result<Bus> Bus::open() {
  sd_bus* opened = nullptr;
  if (const int result = sd_bus_open_system(&opened); result < 0) {
    return tl::make_unexpected(bus_error("system bus", result));
  }
  return Bus(opened);
}

void Bus::watch(io::Loop& loop) const {
  const int events = sd_bus_get_events(bus_.get());
  loop.watch(sd_bus_get_fd(bus_.get()), static_cast<short>(events < 0 ? POLLIN : events));
}

MonotonicTime Bus::deadline() const {
  std::uint64_t microseconds = UINT64_MAX;
  if (sd_bus_get_timeout(bus_.get(), &microseconds) < 0 || microseconds == UINT64_MAX) return MonotonicTime::max();
  // On CLOCK_MONOTONIC, which is what steady_clock counts.
  return MonotonicTime(std::chrono::microseconds(microseconds));
}

Result<void> Bus::process() {
  for (;;) {
    const int result = sd_bus_process(bus_.get(), nullptr);
    if (result < 0) return tl::make_unexpected(bus_error("system bus", result));
    if (result == 0) return {};
  }
}

Result<Message> Bus::request(const std::string& object, const char* interface, const char* method) const {
  sd_bus_message* made = nullptr;
  const int result = sd_bus_message_new_method_call(bus_.get(), &made, kService, object.c_str(), interface, method);
  if (result < 0) return tl::make_unexpected(bus_error(method, result));
  return Message(made);
}

Result<void> Bus::turn(io::Loop& loop, MonotonicTime until, const char* what) {
  watch(loop);
  if (auto waited = loop.wait(std::min(until, deadline())); !waited) return waited;
  if (auto processed = process(); !processed) return processed;
  if (loop.stop_signal()) return fail(ErrorCode::kUnavailable, fmt::format("{}: interrupted", what));
  if (monotonic_now() >= until) return fail(ErrorCode::kUnavailable, fmt::format("{}: no answer in time", what));
  return {};
}

Result<void> Bus::start(const Message& request, Call& call) {
  const auto taken = [](sd_bus_message* message, void* user, sd_bus_error*) {
    auto& answer = static_cast<Call*>(user)->answer;
    if (const sd_bus_error* error = sd_bus_message_get_error(message)) {
      answer = tl::make_unexpected(call_error(*error));
    } else {
      answer = Message(sd_bus_message_ref(message));
    }
    return 0;
  };
  call.answer.reset();
  sd_bus_slot* slot = nullptr;
  // Time limits are ours, so that they also hold while other messages keep coming.
  const int sent = sd_bus_call_async(bus_.get(), &slot, request.get(), taken, &call, UINT64_MAX);
  if (sent < 0) return tl::make_unexpected(bus_error(sd_bus_message_get_member(request.get()), sent));
  call.slot.reset(slot);
  return {};
}

Result<Message> Bus::call(io::Loop& loop, const Message& request, MonotonicTime deadline) {
  Call call;
  if (auto started = start(request, call); !started) return fail(std::move(started));
  if (auto processed = process(); !processed) return fail(std::move(processed));
  while (!call.answer) {
    auto turned = turn(loop, deadline, sd_bus_message_get_member(request.get()));
    if (!turned && !call.answer) return fail(std::move(turned));
  }
  return *std::move(call.answer);
}

void Bus::tell(const Message& request) { sd_bus_send(bus_.get(), request.get(), nullptr); }

}  // namespace fieldpipe::bluez
