// SPDX-License-Identifier: MIT
// A program for the fault tests of the spool: a run of random but repeatable operations that says what it was promised,
// and a look at what is there. Each line is one write, so that a trace tells when it was said.
//
//   spool_driver run DIR SEED STEPS [CRASH]   A lane sequence counter    accepted (commit returned)
//                                             F lane first last          about to be finished
//                                             L lane sequence counter    a dead letter (take returned)
//                                             D lane first last          finished (finish returned)
//   spool_driver list DIR                     R lane sequence counter    what is there, in order
//                                             X lane sequence counter    what is there as a dead letter
//                                             S accepted queued delivered dead-lettered dropped damaged quarantined
//
// With an even SEED the oldest records are dropped when the spool is full.
//
//   spool_driver full DIR                     fills the file system, drains while it is full, and appends again
//
// Statuses: 0; 3 when a call failed that may fail when the disk does; 1 when something is wrong.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"
#include "spool/dead_letters.h"
#include "spool/spool.h"

namespace {

using namespace fieldpipe;
using spool::DeadLetter;
using spool::DeadLetters;
using spool::Sequence;
using spool::Spool;

constexpr int kWrong = 1;
constexpr int kDiskFailed = 3;

void say(const std::string& text) {
  for (std::size_t used = 0; used < text.size();) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data() + used, text.size() - used);
    if (count < 0) std::_Exit(kWrong);
    used += static_cast<std::size_t>(count);
  }
}

int failed(const Error& error) {
  fmt::print(stderr, "spool_driver: {}\n", error.what);
  return error.code == ErrorCode::kIo || error.code == ErrorCode::kUnavailable ? kDiskFailed : kWrong;
}

// The only payload that the record `counter` of a lane may have.
std::string payload_of(std::string_view lane, unsigned counter) {
  std::mt19937 random(counter * 31 + static_cast<unsigned>(lane.front()));
  std::string text = fmt::format("{}:", counter);
  const std::size_t size = random() % 40 == 0 ? 3000 : random() % 400;
  while (text.size() < size) text.push_back(static_cast<char>(random()));
  return text;
}

// The counter of a payload; ends the program when the payload was altered.
unsigned counter_of(std::string_view lane, std::string_view payload) {
  const auto counter = parse_integer<unsigned>(payload.substr(0, payload.find(':')));
  if (counter && payload_of(lane, *counter) == payload) return *counter;
  say(fmt::format("ALTERED {}\n", lane));
  std::_Exit(kWrong);
}

spool::Options options(const char* directory) {
  spool::Options result;
  result.directory = directory;
  result.segment_bytes = 4096;
  result.acknowledgement_bytes = 512;
  result.max_bytes = 48 * 1024;
  result.min_free_bytes = 0;
  return result;
}

// The least that dead letters can have.
constexpr std::uint64_t kDeadLetterBytes = std::uint64_t{32} << 10U;

class Run {
 public:
  // Of `steps` one is a delivery.
  Run(Spool& spool, DeadLetters& dead, unsigned seed, unsigned steps)
      : spool_(spool), dead_(dead), random_(seed), steps_of_delivery_(steps) {}

  int steps(unsigned count) {
    // Counters go on where the records of an earlier run ended.
    for (const auto& lane : spool_.lanes()) {
      const std::string name(lane.lane);
      auto messages = spool_.next(name, 100'000, 1U << 30U);
      if (!messages) return failed(messages.error());
      for (const auto& message : *messages) counters_[name] = counter_of(name, message.payload) + 1;
      spool_.rewind(name);
    }
    for (unsigned i = 0; i < count; ++i) {
      if (const int status = random_() % steps_of_delivery_ == 0 ? finish_some() : append_some(); status != 0)
        return status;
    }
    return 0;
  }

 private:
  int append_some() {
    std::string said;
    std::vector<std::pair<std::string, unsigned>> appended;
    bool refused = false;
    for (auto left = 1 + random_() % 6; left > 0; --left) {
      // The lane s is stuck until the spool is full, so that its records are copied forward.
      const std::string lane(1, random_() % 7 == 0 ? 's' : static_cast<char>('a' + random_() % 3));
      const unsigned counter = counters_[lane];
      const auto sequence = spool_.append(lane, as_bytes(payload_of(lane, counter)));
      if (!sequence) {
        refused = sequence.error().code == ErrorCode::kRefused;  // the lane has had its share
        if (!spool_.full() && !refused) return failed(sequence.error());
        break;
      }
      ++counters_[lane];
      said += fmt::format("A {} {} {}\n", lane, *sequence, counter);
    }
    if (auto committed = spool_.commit(); !committed) return failed(committed.error());
    say(said);
    return spool_.full() || refused ? finish_some() : 0;
  }

  int finish_some() {
    for (const std::string_view lane : {"a", "b", "c", "s"}) {
      if (lane == "s" && !spool_.full()) continue;
      auto messages = spool_.next(lane, 1 + random_() % 12, 1U << 20U);
      if (!messages) return failed(messages.error());
      if (messages->empty()) {
        spool_.rewind(lane);
        continue;
      }
      for (const auto& message : *messages) counter_of(lane, message.payload);
      if (random_() % 9 == 0) {
        bury(lane, *messages);
        continue;
      }
      const Sequence first = messages->at(random_() % 4 == 0 ? messages->size() / 2 : 0).sequence;
      const Sequence last = messages->back().sequence;
      say(fmt::format("F {} {} {}\n", lane, first, last));
      spool_.finish(lane, first, last);
      say(fmt::format("D {} {} {}\n", lane, first, last));
      if (random_() % 3 == 0) spool_.rewind(lane);
    }
    return 0;
  }

  // Makes dead letters of these. What cannot be written stays queued.
  void bury(std::string_view lane, const std::vector<spool::Message>& messages) {
    for (const auto& message : messages) {
      const Sequence sequence = message.sequence;
      const unsigned counter = counter_of(lane, message.payload);
      say(fmt::format("F {} {} {}\n", lane, sequence, sequence));
      const DeadLetter letter{sequence, message.time, "refused", "", message.payload.size(), message.payload};
      if (!dead_.take(lane, letter, spool_)) break;
      say(fmt::format("L {} {} {}\nD {} {} {}\n", lane, sequence, counter, lane, sequence, sequence));
    }
    spool_.rewind(lane);
  }

  Spool& spool_;
  DeadLetters& dead_;
  std::minstd_rand random_;
  unsigned steps_of_delivery_;
  std::map<std::string, unsigned> counters_;
};

int run(const char* directory, unsigned seed, unsigned steps, bool crash) {
  spool::Options settings = options(directory);
  const bool drops = seed % 2 == 0;
  if (drops) settings.on_full = spool::OnFull::kDropOldest;
  auto spool = Spool::open(std::move(settings));
  if (!spool) return failed(spool.error());
  auto dead = DeadLetters::open(*spool, kDeadLetterBytes);
  if (!dead) return failed(dead.error());
  const int status = Run(*spool, *dead, seed, drops ? 6 : 2).steps(steps);
  if (crash) std::_Exit(status);  // nothing is sealed or given back
  return status;
}

int list(const char* directory) {
  auto spool = Spool::open(options(directory));
  if (!spool) return failed(spool.error());
  auto dead = DeadLetters::open(*spool, kDeadLetterBytes);
  if (!dead) return failed(dead.error());
  std::string said;
  auto shown = spool::inspect_dead_letters(directory, [&](std::string_view lane, Sequence, const DeadLetter& letter) {
    said += fmt::format("X {} {} {}\n", lane, letter.sequence, counter_of(lane, letter.payload));
  });
  if (!shown) return failed(shown.error());
  const spool::Statistics s = spool->statistics();
  std::vector<std::string> lanes;
  for (const auto& lane : spool->lanes()) lanes.emplace_back(lane.lane);
  for (const std::string& lane : lanes) {
    const auto messages = spool->next(lane, 100'000, 1U << 30U);
    if (!messages) return failed(messages.error());
    for (const auto& message : *messages) {
      said += fmt::format("R {} {} {}\n", lane, message.sequence, counter_of(lane, message.payload));
    }
  }
  // What was recovered must also be able to go on.
  if (auto sequence = spool->append("z", as_bytes(payload_of("z", 0))); !sequence && !spool->full()) {
    return failed(sequence.error());
  }
  if (auto committed = spool->commit(); !committed) return failed(committed.error());
  said += fmt::format("S {} {} {} {} {} {} {}\n", s.accepted, s.queued, s.delivered, s.dead_lettered, s.dropped,
                      s.damaged, s.quarantined_bytes);
  say(said);
  return 0;
}

int full(const char* directory) {
  spool::Options settings;
  settings.directory = directory;
  settings.min_free_bytes = 0;
  settings.segment_bytes = 256 * 1024;
  auto spool = Spool::open(settings);
  if (!spool) return failed(spool.error());
  unsigned accepted = 0;
  for (unsigned counter = 0;; ++counter) {
    if (const auto sequence = spool->append("a", as_bytes(payload_of("a", counter))); !sequence) {
      if (sequence.error().code != ErrorCode::kUnavailable) return failed(sequence.error());
      break;
    }
    if (auto committed = spool->commit(); !committed) return failed(committed.error());
    ++accepted;
  }
  // What the spool left, somebody else takes.
  const std::string filler = std::string(directory) + "/../filler";
  const int fd = ::open(filler.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string zeros(4096, 'x');
  while (::write(fd, zeros.data(), zeros.size()) > 0) continue;
  unsigned delivered = 0;
  while (delivered < accepted) {
    const auto messages = spool->next("a", 100, 1U << 30U);
    if (!messages) return failed(messages.error());
    if (messages->empty()) return kWrong;
    for (const auto& message : *messages) {
      if (counter_of("a", message.payload) != delivered++) return kWrong;
    }
    spool->finish("a", messages->front().sequence, messages->back().sequence);
  }
  if (auto synced = spool->sync(); !synced) return failed(synced.error());
  if (const auto sequence = spool->append("a", as_bytes(payload_of("a", 0))); !sequence)
    return failed(sequence.error());
  if (auto committed = spool->commit(); !committed) return failed(committed.error());
  const spool::Statistics s = spool->statistics();
  say(fmt::format("{} accepted, {} delivered, {} write errors\n", s.accepted, s.delivered, s.write_errors));
  ::close(fd);
  ::unlink(filler.c_str());
  return s.accepted == accepted + 1 && s.delivered == accepted ? 0 : kWrong;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "list" && argc == 3) return list(argv[2]);
  if (command == "full" && argc == 3) return full(argv[2]);
  const auto number = [&](int i) { return parse_integer<unsigned>(argv[i]).value_or(1); };
  if (command == "run" && argc >= 5) return run(argv[2], number(3), number(4), argc > 5);
  fmt::print(stderr, "usage: spool_driver run DIR SEED STEPS [CRASH] | list DIR | full DIR\n");
  return 64;
}
