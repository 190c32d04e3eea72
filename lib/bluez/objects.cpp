// SPDX-License-Identifier: MIT
#include "bluez/objects.h"

#include <systemd/sd-bus.h>

#include <optional>
#include <utility>

namespace fieldpipe::bluez {
namespace {

int read_strings(sd_bus_message* message, std::vector<std::string>& into) {
  int result = sd_bus_message_enter_container(message, 'a', nullptr);
  while (result > 0) {
    const char* text = nullptr;
    char type = 0;
    if (result = sd_bus_message_peek_type(message, &type, nullptr); result <= 0) break;
    if (result = sd_bus_message_read_basic(message, type, static_cast<void*>(&text)); result > 0)
      into.emplace_back(text);
  }
  return result < 0 ? result : sd_bus_message_exit_container(message);
}

template <typename Wire>
int read_number(sd_bus_message* message, char type, std::optional<Property>& into) {
  Wire number{};
  const int result = sd_bus_message_read_basic(message, type, &number);
  if (result > 0) into = Property(static_cast<std::int64_t>(number));
  return result;
}

// Reads what is in a variant; `into` stays empty for a type that no property we use has.
int read_contents(sd_bus_message* message, const std::string& signature, std::optional<Property>& into) {
  if (signature == "as" || signature == "ao") {
    std::vector<std::string> texts;
    const int result = read_strings(message, texts);
    into = Property(std::move(texts));
    return result;
  }
  if (signature == "ay") {
    const void* bytes = nullptr;
    std::size_t size = 0;
    const int result = sd_bus_message_read_array(message, 'y', &bytes, &size);
    if (result > 0) into = Property(std::string(static_cast<const char*>(bytes), size));
    return result;
  }
  if (signature.size() != 1) return sd_bus_message_skip(message, signature.c_str());
  switch (signature[0]) {
    case 'b': {
      int boolean = 0;
      const int result = sd_bus_message_read_basic(message, 'b', &boolean);
      into = Property(boolean != 0);
      return result;
    }
    case 's':
    case 'o': {
      const char* text = nullptr;
      const int result = sd_bus_message_read_basic(message, signature[0], static_cast<void*>(&text));
      if (result > 0) into = Property(std::string(text));
      return result;
    }
    case 'y': return read_number<std::uint8_t>(message, 'y', into);
    case 'n': return read_number<std::int16_t>(message, 'n', into);
    case 'q': return read_number<std::uint16_t>(message, 'q', into);
    case 'i': return read_number<std::int32_t>(message, 'i', into);
    case 'u': return read_number<std::uint32_t>(message, 'u', into);
    default: return sd_bus_message_skip(message, signature.c_str());
  }
}

// a{sv}
template <typename Take>
int read_properties(sd_bus_message* message, Take take) {
  int result = sd_bus_message_enter_container(message, 'a', "{sv}");
  while (result >= 0) {
    if (result = sd_bus_message_enter_container(message, 'e', "sv"); result <= 0) break;
    const char* name = nullptr;
    char type = 0;
    const char* contents = nullptr;
    if (result = sd_bus_message_read_basic(message, 's', static_cast<void*>(&name)); result < 0) break;
    if (result = sd_bus_message_peek_type(message, &type, &contents); result < 0) break;
    const std::string signature = contents != nullptr ? contents : "";
    if (result = sd_bus_message_enter_container(message, 'v', signature.c_str()); result < 0) break;
    std::optional<Property> value;
    if (result = read_contents(message, signature, value); result < 0) break;
    if (value) take(std::string(name), *std::move(value));
    if (result = sd_bus_message_exit_container(message); result < 0) break;
    if (result = sd_bus_message_exit_container(message); result < 0) break;
  }
  return result < 0 ? result : sd_bus_message_exit_container(message);
}

}  // namespace

const Property* Objects::find_any(const std::string& object, std::string_view interface,
                                  std::string_view property) const {
  const auto at = objects_.find(object);
  if (at == objects_.end()) return nullptr;
  const auto face = at->second.find(interface);
  if (face == at->second.end()) return nullptr;
  const auto found = face->second.find(property);
  return found != face->second.end() ? &found->second : nullptr;
}

// oa{sa{sv}}
int Objects::add(sd_bus_message* message) {
  const char* path = nullptr;
  int result = sd_bus_message_read_basic(message, 'o', static_cast<void*>(&path));
  if (result <= 0) return result;
  const std::string object = path;
  const bool keep = objects_.size() < kMostObjects || objects_.contains(object);
  result = sd_bus_message_enter_container(message, 'a', "{sa{sv}}");
  while (result >= 0) {
    if (result = sd_bus_message_enter_container(message, 'e', "sa{sv}"); result <= 0) break;
    const char* name = nullptr;
    if (result = sd_bus_message_read_basic(message, 's', static_cast<void*>(&name)); result < 0) break;
    Properties properties;
    result = read_properties(message, [&](std::string property, Property value) {
      properties.insert_or_assign(std::move(property), std::move(value));
    });
    if (result < 0) break;
    if (keep) objects_[object].insert_or_assign(name, std::move(properties));
    if (result = sd_bus_message_exit_container(message); result < 0) break;
  }
  return result < 0 ? result : sd_bus_message_exit_container(message);
}

int Objects::remove(sd_bus_message* message) {
  const char* path = nullptr;
  if (const int result = sd_bus_message_read_basic(message, 'o', static_cast<void*>(&path)); result <= 0) return result;
  const auto found = objects_.find(path);
  std::vector<std::string> gone;
  const int result = read_strings(message, gone);
  if (result < 0 || found == objects_.end()) return result;
  for (const std::string& interface : gone) found->second.erase(interface);
  if (found->second.empty()) objects_.erase(found);
  return result;
}

int Objects::change(sd_bus_message* message) {
  const char* path = sd_bus_message_get_path(message);
  const char* interface = nullptr;
  if (const int result = sd_bus_message_read_basic(message, 's', static_cast<void*>(&interface)); result < 0) {
    return result;
  }
  const auto found = objects_.find(path);
  if (found == objects_.end()) return 0;
  const bool collects = found->first == collected_;
  Properties& properties = found->second[interface];
  const int result = read_properties(message, [&](std::string property, Property value) {
    if (collects && property == "Value" && std::holds_alternative<std::string>(value)) {
      notifications_.push_back(std::get<std::string>(std::move(value)));
      return;
    }
    properties.insert_or_assign(std::move(property), std::move(value));
  });
  if (result < 0) return result;
  std::vector<std::string> invalidated;
  const int rest = read_strings(message, invalidated);
  for (const std::string& property : invalidated) properties.erase(property);
  return rest;
}

int Objects::read(sd_bus_message* message) {
  int result = sd_bus_message_enter_container(message, 'a', "{oa{sa{sv}}}");
  while (result >= 0) {
    if (result = sd_bus_message_enter_container(message, 'e', "oa{sa{sv}}"); result <= 0) break;
    if (result = add(message); result < 0) break;
    if (result = sd_bus_message_exit_container(message); result < 0) break;
  }
  return result;
}

int Objects::follow_signals() {
  const auto match = [this](const char* rule, sd_bus_message_handler_t handler) {
    sd_bus_slot* slot = nullptr;
    const int result = sd_bus_add_match_async(bus_.get(), &slot, rule, handler, nullptr, this);
    if (result >= 0) slots_.emplace_back(slot);
    return result;
  };
  int result = match(
      "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'",
      [](sd_bus_message* message, void* self, sd_bus_error*) { return static_cast<Objects*>(self)->add(message); });
  if (result < 0) return result;
  result = match(
      "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved'",
      [](sd_bus_message* message, void* self, sd_bus_error*) { return static_cast<Objects*>(self)->remove(message); });
  if (result < 0) return result;
  return match(
      "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
      [](sd_bus_message* message, void* self, sd_bus_error*) { return static_cast<Objects*>(self)->change(message); });
}

Result<std::unique_ptr<Objects>> Objects::follow(io::Loop& loop, Bus& bus, MonotonicTime deadline) {
  std::unique_ptr<Objects> objects(new Objects(bus));
  // First the signals, then the tree: a change in between is then seen twice, and not never.
  if (const int result = objects->follow_signals(); result < 0) {
    return tl::make_unexpected(bus_error("system bus", result));
  }
  auto request = bus.request("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
  if (!request) return fail(std::move(request));
  auto answer = bus.call(loop, *request, deadline);
  if (!answer) return fail(std::move(answer));
  if (const int result = objects->read(answer->get()); result < 0) {
    return tl::make_unexpected(bus_error("GetManagedObjects", result));
  }
  return objects;
}

}  // namespace fieldpipe::bluez
