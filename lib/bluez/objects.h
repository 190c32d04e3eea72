// SPDX-License-Identifier: MIT
// BlueZ's objects and their properties, kept up to date by its signals.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bluez/bus.h"

namespace fieldpipe::bluez {

// Bytes (`ay`) are a std::string too; no property that is used here can be either.
using Property = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;
using Properties = std::map<std::string, Property, std::less<>>;
using Interfaces = std::map<std::string, Properties, std::less<>>;

// The tree that org.freedesktop.DBus.ObjectManager describes. What is on it comes from devices around us, so it is
// bounded: at most kMostObjects are kept.
class Objects {
 public:
  static constexpr std::size_t kMostObjects = 4096;

  // Asks for all objects and follows their changes while it exists. `bus` must outlive it. Fails as Bus::call does.
  static Result<std::unique_ptr<Objects>> follow(io::Loop& loop, Bus& bus, MonotonicTime deadline);

  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  ~Objects() = default;

  [[nodiscard]] const std::map<std::string, Interfaces>& all() const { return objects_; }

  // The property, or nothing where there is none of that type.
  template <typename T>
  [[nodiscard]] const T* find(const std::string& object, std::string_view interface, std::string_view property) const {
    const Property* found = find_any(object, interface, property);
    return found != nullptr ? std::get_if<T>(found) : nullptr;
  }
  [[nodiscard]] bool is_true(const std::string& object, std::string_view interface, std::string_view property) const {
    const bool* found = find<bool>(object, interface, property);
    return found != nullptr && *found;
  }

  // From now on each change of the property `Value` of this characteristic is one notification for notifications(),
  // equal ones included. The owner clears them.
  void collect(std::string characteristic) { collected_ = std::move(characteristic); }
  std::vector<std::string>& notifications() { return notifications_; }

 private:
  explicit Objects(Bus& bus) : bus_(bus) {}
  const Property* find_any(const std::string& object, std::string_view interface, std::string_view property) const;

  // Each reads one message; below 0: it is not what BlueZ sends.
  int add(sd_bus_message* message);     // an object and its interfaces, of InterfacesAdded and GetManagedObjects
  int remove(sd_bus_message* message);  // InterfacesRemoved
  int change(sd_bus_message* message);  // PropertiesChanged
  int read(sd_bus_message* message);    // the answer of GetManagedObjects
  int follow_signals();

  Bus& bus_;
  std::map<std::string, Interfaces> objects_;
  std::vector<Slot> slots_;
  std::string collected_;
  std::vector<std::string> notifications_;
};

}  // namespace fieldpipe::bluez
