// SPDX-License-Identifier: MIT
// The databases of a run, each for one bus or for all: which message a frame is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "can/dbc.h"
#include "can/frame.h"
#include "can/signal.h"

namespace fieldpipe::can {

class Databases {
 public:
  // `j1939` matches 29-bit identifiers by their parameter group number where no message has the whole of it.
  explicit Databases(bool j1939 = false) : j1939_(j1939) {}

  // Adds a database, to be used for frames of `bus` (an interface name, or a bus number as text), or of all if `bus` is
  // empty. Of two definitions of one identifier on one bus the first one added holds.
  void add(std::string bus, Database database);

  // Where a definition was passed over: the messages' names, the one that holds first.
  struct Conflict {
    const Message* kept;
    const Message* dropped;
    std::string_view bus;  // empty: on all
  };
  [[nodiscard]] std::span<const Conflict> conflicts() const { return conflicts_; }

  [[nodiscard]] bool empty() const { return entries_.empty(); }

  // In the order they were added.
  [[nodiscard]] std::vector<const Database*> all() const;

  // The message of a frame that came from `interface`, which has the bus number `bus` if it has one; nullptr if none of
  // the databases for it has the identifier.
  [[nodiscard]] const MessagePlan* find(std::string_view interface, std::optional<unsigned> bus, const Frame& frame);

  // Whether signals of this name are in more than one message of all databases, so that the name alone does not say
  // which one is meant.
  [[nodiscard]] bool is_ambiguous(std::string_view signal_name);

 private:
  struct Entry {
    std::string bus;
    Database database;
    std::vector<MessagePlan> plans;
  };
  // What holds for the frames of one interface.
  struct View {
    std::string interface;
    std::optional<unsigned> bus;
    MessageTable table;
  };

  View& view_of(std::string_view interface, std::optional<unsigned> bus);
  void fill(View& view) const;
  void note_conflicts(const Entry& added);

  bool j1939_;
  std::deque<Entry> entries_;  // plans and views point into them
  std::deque<View> views_;     // made when an interface is first seen
  std::vector<Conflict> conflicts_;
  std::unordered_map<std::string_view, unsigned> uses_;  // of signal names; made when first asked for
};

}  // namespace fieldpipe::can
