// SPDX-License-Identifier: MIT
#include "can/databases.h"

#include <algorithm>

#include <fmt/format.h>

namespace fieldpipe::can {
namespace {

// Interfaces with a table of their own; the names of a hostile log must not fill the memory.
constexpr std::size_t kMaxViews = 64;

bool is_for(std::string_view entry_bus, std::string_view interface, std::optional<unsigned> bus) {
  return entry_bus.empty() || entry_bus == interface || (bus && entry_bus == fmt::format_int(*bus).str());
}

}  // namespace

void Databases::add(std::string bus, Database database) {
  Entry& entry = entries_.emplace_back(std::move(bus), std::move(database), std::vector<MessagePlan>());
  entry.plans = make_plans(entry.database);
  views_.clear();
  uses_.clear();
  if (entries_.size() > 1) note_conflicts(entry);
}

void Databases::note_conflicts(const Entry& added) {
  MessageTable table;
  for (const Entry& entry : entries_) {
    if (!entry.bus.empty() && !added.bus.empty() && entry.bus != added.bus) continue;
    for (const MessagePlan& plan : entry.plans) {
      const MessagePlan* const kept = table.add(plan);
      if (kept != nullptr && &entry == &added) {
        conflicts_.push_back({&kept->message(), &plan.message(), added.bus});
      }
    }
  }
}

std::vector<const Database*> Databases::all() const {
  std::vector<const Database*> databases;
  for (const Entry& entry : entries_) databases.push_back(&entry.database);
  return databases;
}

const MessagePlan* Databases::find(std::string_view interface, std::optional<unsigned> bus, const Frame& frame) {
  const MessageTable& table = view_of(interface, bus).table;
  return j1939_ ? table.find_j1939(frame) : table.find(frame);
}

Databases::View& Databases::view_of(std::string_view interface, std::optional<unsigned> bus) {
  for (View& view : views_) {
    if (view.bus == bus && view.interface == interface) return view;
  }
  if (views_.size() >= kMaxViews) views_.clear();
  View& view = views_.emplace_back(std::string(interface), bus, MessageTable());
  fill(view);
  return view;
}

void Databases::fill(View& view) const {
  for (const Entry& entry : entries_) {
    if (!is_for(entry.bus, view.interface, view.bus)) continue;
    for (const MessagePlan& plan : entry.plans) view.table.add(plan);
  }
}

bool Databases::is_ambiguous(std::string_view signal_name) {
  if (uses_.empty()) {
    for (const Entry& entry : entries_) {
      for (const Message& message : entry.database.messages) {
        for (const Signal& signal : message.signals) ++uses_[signal.name];
      }
    }
  }
  const auto found = uses_.find(signal_name);
  return found != uses_.end() && found->second > 1;
}

}  // namespace fieldpipe::can
