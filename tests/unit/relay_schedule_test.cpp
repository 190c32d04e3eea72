// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "relay/schedule.h"

namespace fieldpipe::relay {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr Outcome kDelivered{.verdict = Verdict::kDelivered};
constexpr Outcome kRefused{.verdict = Verdict::kRecord};
constexpr Outcome kTooLarge{.verdict = Verdict::kSize};

constexpr Outcome failed(Verdict failure) { return {.verdict = failure}; }

constexpr Outcome failed(Verdict failure, nanoseconds retry_after) {
  return {.verdict = failure, .retry_after = retry_after};
}

// What the server thinks of chunks: each is 100 bytes and has a number.
using Server = std::function<Outcome(const std::string& lane, const std::vector<int>& chunks)>;

// A relay without spool and network, in its own time.
struct Simulation {
  explicit Simulation(Limits limits = {}) : schedule(limits, [this] { return random; }) {}

  void put(const std::string& lane, int count, const std::string& key = "K") {
    for (int i = 0; i < count; ++i) queues[lane].push_back(i);
    schedule.fill(lane, "E", key, now);
  }

  // Begins all that may begin now; the names of the lanes in their order, with a space between them.
  std::string begin() {
    std::string began;
    while (Schedule::Lane* lane = schedule.next(now)) {
      std::deque<int>& queue = queues[lane->name];
      if (queue.empty()) {
        schedule.forget(*lane);
        continue;
      }
      const std::size_t count = std::min(
          {queue.size(), schedule.most_chunks(*lane), std::max<std::size_t>(1, schedule.most_bytes(*lane) / 100)});
      schedule.begin(*lane, count, 100 * count, now);
      flying.push_back(lane);
      began.append(began.empty() ? "" : " ").append(lane->name);
      ++requests;
    }
    return began;
  }

  std::size_t count_begun() {
    begin();
    return flying.size();
  }

  Action end(Schedule::Lane& lane, const Outcome& outcome) {
    std::erase(flying, &lane);
    const std::size_t count = lane.chunks;
    const std::string name = lane.name;
    const Action action = schedule.settle(lane, outcome, now);
    std::deque<int>& queue = queues[name];
    if (action == Action::kDeadLetter) {
      REQUIRE(count == 1);
      dead[name].push_back(queue.front());
    } else if (action == Action::kFinish) {
      for (std::size_t i = 0; i < count; ++i) delivered[name].push_back(queue[i]);
    }
    if (action != Action::kKeep) queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(count));
    return action;
  }

  Action end(const std::string& name, const Outcome& outcome) {
    const auto lane = std::find_if(flying.begin(), flying.end(), [&](const auto* l) { return l->name == name; });
    REQUIRE(lane != flying.end());
    return end(**lane, outcome);
  }

  void end_all(const Outcome& outcome) {
    while (!flying.empty()) end(*flying.front(), outcome);
  }

  // Lets requests take 10 ms each until nothing is left, or `limit` of its time passed.
  void run(const Server& server, nanoseconds limit = std::chrono::hours(1000)) {
    const auto end_of_run = now + limit;
    for (;;) {
      begin();
      if (flying.empty()) {
        const auto next = schedule.deadline();
        if (!next || *next > end_of_run) return;
        now = std::max(now, *next);
        continue;
      }
      if (now >= end_of_run) return;
      now += 10ms;
      Schedule::Lane& lane = *flying.front();
      const std::deque<int>& queue = queues[lane.name];
      end(lane, server(lane.name, {queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(lane.chunks)}));
    }
  }

  // Advances to the end of the next pause.
  nanoseconds advance() {
    REQUIRE(schedule.deadline());
    const auto before = now;
    now = *schedule.deadline();
    return now - before;
  }

  double random = 0;
  MonotonicTime now{std::chrono::hours(5)};
  Schedule schedule;
  std::map<std::string, std::deque<int>> queues;
  std::map<std::string, std::vector<int>> delivered;
  std::map<std::string, std::vector<int>> dead;
  std::vector<Schedule::Lane*> flying;
  int requests = 0;
};

std::size_t waiting(const Simulation& relay, Verdict verdict) {
  return relay.schedule.waiting()[static_cast<std::size_t>(verdict)];
}

TEST_CASE("there may be more requests than the limit says where the caller lends some") {
  Simulation relay({.requests = 2, .batch_chunks = 1});
  for (const char* lane : {"a", "b", "c", "d"}) relay.put(lane, 1);
  CHECK(relay.begin() == "a b");
  CHECK(relay.schedule.next(relay.now) == nullptr);
  Schedule::Lane* const lent = relay.schedule.next(relay.now, 1);
  REQUIRE(lent != nullptr);
  relay.schedule.begin(*lent, 1, 100, relay.now);
  CHECK(lent->name == "c");
  CHECK(relay.schedule.next(relay.now, 1) == nullptr);
}

TEST_CASE("lanes take turns, one request each at a time, as many as may be") {
  Simulation relay({.requests = 2, .batch_chunks = 1});
  for (const char* name : {"a", "b", "c"}) relay.put(name, 2);
  CHECK(relay.begin() == "a b");
  CHECK(relay.end("b", kDelivered) == Action::kFinish);
  CHECK(relay.begin() == "c");
  relay.end("c", kDelivered);
  relay.end("a", kDelivered);
  CHECK(relay.begin() == "b c");
  relay.end_all(kDelivered);
  CHECK(relay.begin() == "a");
  relay.end_all(kDelivered);
  CHECK(relay.begin().empty());
  CHECK_FALSE(relay.schedule.knows("a"));
  CHECK_FALSE(relay.schedule.deadline());
}

TEST_CASE("nobody answers: all wait, one tries, and one after the other comes back") {
  Simulation relay;
  for (int i = 0; i < 20; ++i) relay.put(fmt::format("{:02}", i), 100);
  CHECK(relay.count_begun() == 8);
  relay.end_all(failed(Verdict::kNetwork));
  CHECK(relay.begin().empty());
  CHECK(waiting(relay, Verdict::kNetwork) == 20);
  // The other seven fail for the same reason: that counts once.
  CHECK(relay.advance() == 250ms);
  relay.random = 1;
  CHECK(relay.begin() == "08");  // one that did not fail
  relay.end_all(failed(Verdict::kNetwork));
  CHECK(relay.advance() == 2s);
  CHECK(relay.begin() == "09");
  relay.end_all(kDelivered);
  CHECK(relay.count_begun() == 2);
  relay.end(*relay.flying.front(), kDelivered);
  CHECK(relay.count_begun() == 4);
  relay.end(*relay.flying.front(), kDelivered);
  CHECK(relay.count_begun() == 8);
  // And the count of failures is gone.
  relay.end_all(failed(Verdict::kNetwork));
  CHECK(relay.advance() == 1s);
}

TEST_CASE("what failed is sent again as it was") {
  Simulation relay({.batch_chunks = 10});
  relay.put("a", 3);
  relay.begin();
  relay.end_all(failed(Verdict::kServer));
  relay.put("a", 7);
  relay.advance();
  relay.begin();
  CHECK(relay.flying.front()->chunks == 3);
  CHECK(relay.flying.front()->attempt == 2);
  relay.end_all(kDelivered);
  relay.begin();
  CHECK(relay.flying.front()->chunks == 7);
  CHECK(relay.flying.front()->attempt == 1);
}

TEST_CASE("a lane that fails while others succeed waits alone") {
  for (const Verdict failure : {Verdict::kNetwork, Verdict::kServer, Verdict::kCredential, Verdict::kEndpoint}) {
    CAPTURE(print(failure));
    Simulation relay({.requests = 2, .batch_chunks = 1});
    relay.put("bad", 5);
    relay.put("good", 5);
    CHECK(relay.begin() == "bad good");
    relay.end("good", kDelivered);
    relay.begin();
    relay.end("good", kDelivered);
    relay.end("bad", failed(failure));  // the first one: it may concern all
    CHECK(relay.begin().empty());
    relay.advance();
    CHECK(relay.begin() == "good");  // the one that did not fail is the probe
    relay.end("good", kDelivered);
    CHECK(relay.begin() == "bad good");
    relay.end("bad", failed(failure));
    relay.end("good", kDelivered);
    CHECK(relay.begin() == "good");
    CHECK(waiting(relay, failure) == 1);
    relay.end("good", kDelivered);
    CHECK(relay.begin().empty());
    CHECK(relay.queues["good"].empty());
    CHECK(relay.schedule.denied() == (failure == Verdict::kCredential));
  }
}

TEST_CASE("an answer that was on its way lifts the pause of a lane's failure, but not that of a refused key") {
  for (const Verdict failure : {Verdict::kNetwork, Verdict::kServer, Verdict::kCredential, Verdict::kEndpoint}) {
    CAPTURE(print(failure));
    Simulation relay({.requests = 2, .batch_chunks = 1});
    relay.put("bad", 5);
    relay.put("good", 5);
    relay.begin();
    relay.end("bad", failed(failure, 1h));
    relay.end("good", kDelivered);
    const bool lifted = failure == Verdict::kNetwork || failure == Verdict::kServer;
    CHECK(relay.count_begun() == (lifted ? 2 : 0));
  }
}

TEST_CASE("a refused key stops its lanes, and nothing is lost") {
  Simulation relay;
  relay.put("a", 10, "bad key");
  relay.put("b", 10, "bad key");
  relay.put("c", 10, "good key");
  int refusals = 0;
  relay.run(
      [&](const std::string& lane, const auto&) {
        if (lane == "c") return kDelivered;
        ++refusals;
        return failed(Verdict::kCredential);
      },
      10min);
  CHECK(relay.queues["c"].empty());
  CHECK(relay.queues["a"].size() == 10);
  CHECK(relay.queues["b"].size() == 10);
  CHECK(relay.schedule.denied());
  // Two on their way, then one each 10 s at the least. Half of it with usual chances.
  CHECK(refusals <= 62);
  CHECK(refusals >= 2);
  relay.random = 0.999999;
  relay.run([](const auto&, const auto&) { return kDelivered; });
  CHECK(relay.queues["a"].empty());
  CHECK_FALSE(relay.schedule.denied());
}

TEST_CASE("a limited device waits as it was told, and others do not") {
  Simulation relay({.batch_chunks = 1});
  relay.put("a", 1);
  relay.put("b", 3);
  relay.begin();
  relay.end("a", failed(Verdict::kRate, 90s));
  relay.end("b", kDelivered);
  CHECK(relay.begin() == "b");
  relay.end_all(kDelivered);
  CHECK(relay.advance() == 90s);
}

TEST_CASE("three limited devices within a minute stop their project, not others") {
  Simulation relay({.batch_chunks = 1});
  for (const char* name : {"a", "b", "c", "d"}) relay.put(name, 2);
  relay.put("e", 2, "another key");
  relay.begin();
  relay.end("a", failed(Verdict::kRate, 10s));
  relay.end("b", failed(Verdict::kRate, 10s));
  relay.end("d", kDelivered);
  CHECK(relay.begin() == "d");
  relay.end("c", failed(Verdict::kRate, 20s));
  relay.end("d", kDelivered);
  relay.end("e", kDelivered);
  relay.put("f", 1);
  CHECK(relay.begin() == "e");
  relay.end_all(kDelivered);
  relay.now += 19s;
  CHECK(relay.begin().empty());
  relay.now += 1s;
  CHECK(relay.count_begun() == 1);
}

TEST_CASE("one refused chunk is found in its batch, the order of all others is kept") {
  for (const int poison : {0, 1, 49, 50, 98, 99}) {
    CAPTURE(poison);
    Simulation relay;
    relay.put("a", 200);
    relay.run([&](const auto&, const std::vector<int>& chunks) {
      return std::count(chunks.begin(), chunks.end(), poison) > 0 ? kRefused : kDelivered;
    });
    CHECK(relay.dead["a"] == std::vector<int>{poison});
    CHECK(relay.delivered["a"].size() == 199);
    CHECK(std::is_sorted(relay.delivered["a"].begin(), relay.delivered["a"].end()));
    CHECK(relay.requests <= 12);  // 1 refused, 7 to divide it, 1 alone, the rest
  }
}

TEST_CASE("a request that is too large is sent in parts, and no such one is sent again") {
  Simulation relay({.batch_chunks = 64});
  relay.put("a", 640);
  int too_large = 0;
  relay.run([&](const auto&, const std::vector<int>& chunks) {
    if (chunks.size() <= 20) return kDelivered;
    ++too_large;
    return kTooLarge;
  });
  CHECK(too_large == 2);  // 64 and 32
  CHECK(relay.delivered["a"].size() == 640);
  CHECK(relay.requests == 2 + 40);
}

TEST_CASE("a chunk that is too large alone is set aside") {
  Simulation relay;
  relay.put("a", 3);
  relay.run([&](const auto&, const std::vector<int>& chunks) {
    return std::count(chunks.begin(), chunks.end(), 1) > 0 ? kTooLarge : kDelivered;
  });
  CHECK(relay.dead["a"] == std::vector<int>{1});
  CHECK(relay.delivered["a"] == std::vector<int>{0, 2});
}

TEST_CASE("where everything is refused, the chunks are not to blame") {
  Simulation relay;
  relay.put("a", 1000);
  relay.put("b", 1000);
  bool broken = true;
  const Server server = [&](const auto&, const auto&) { return broken ? kRefused : kDelivered; };
  relay.run(server, 1h);
  CHECK(relay.dead["a"].size() + relay.dead["b"].size() == 19);
  CHECK(waiting(relay, Verdict::kEndpoint) == 2);
  const std::size_t dead = relay.dead["a"].size() + relay.dead["b"].size();
  const int requests = relay.requests;
  relay.run(server, 1h);
  CHECK(relay.requests - requests <= 3600 / 10 + 1);
  broken = false;
  relay.run(server);
  CHECK(relay.delivered["a"].size() + relay.delivered["b"].size() + dead == 2000);
}

TEST_CASE("refusals of every device with nothing accepted between them are the endpoint's") {
  Simulation relay({.batch_chunks = 1});
  for (const char* name : {"a", "b", "c"}) relay.put(name, 5);
  relay.begin();
  CHECK(relay.end("a", kRefused) == Action::kDeadLetter);
  CHECK(relay.end("b", kRefused) == Action::kDeadLetter);
  CHECK(relay.end("c", kRefused) == Action::kKeep);
  CHECK(relay.schedule.last_event().what == Schedule::Event::What::kBreaker);
  CHECK(relay.begin().empty());
}

TEST_CASE("no new wait is told of where the endpoint waits already when refusals become its fault") {
  Simulation relay({.requests = 21, .batch_chunks = 1});
  const auto name = [](int number) { return "lane" + std::to_string(number); };
  for (int i = 0; i < 21; ++i) relay.put(name(i), 2);
  CHECK(relay.count_begun() == 21);
  CHECK(relay.end(name(0), failed(Verdict::kNetwork)) == Action::kKeep);
  for (int i = 1; i < 20; ++i) CHECK(relay.end(name(i), kRefused) == Action::kDeadLetter);
  CHECK(relay.end(name(20), kRefused) == Action::kKeep);
  CHECK(relay.schedule.last_event().what == Schedule::Event::What::kNone);
}

TEST_CASE("one device may have one bad chunk") {
  Simulation relay({.batch_chunks = 1});
  relay.put("a", 2);
  relay.begin();
  CHECK(relay.end("a", kRefused) == Action::kDeadLetter);
  CHECK(relay.begin() == "a");
}

TEST_CASE("a chunk that only ever gives errors is set aside after an hour in which others came through") {
  Simulation relay;
  relay.put("bad", 10);
  const auto start = relay.now;
  int failures = 0;
  bool others = false;
  const Server server = [&](const std::string& lane, const std::vector<int>& chunks) {
    if (lane != "bad" || std::count(chunks.begin(), chunks.end(), 4) == 0) return kDelivered;
    ++failures;
    Outcome outcome = failed(Verdict::kServer);
    outcome.slow = outcome.stuck = true;
    return outcome;
  };
  relay.random = 0.5;
  SUBCASE("with others") { others = true; }
  SUBCASE("without others") {}
  for (int hour = 0; hour < 40 && relay.dead.empty(); ++hour) {
    if (others) relay.put("good", 1);
    relay.run(server, 1h);
  }
  if (!others) {
    CHECK(relay.dead.empty());
    CHECK(relay.queues["bad"].size() == 10);
    return;
  }
  CHECK(relay.dead["bad"] == std::vector<int>{4});
  CHECK(failures >= 8);
  CHECK(relay.now - start >= 1h);
  relay.run(server);
  CHECK(relay.delivered["bad"] == std::vector<int>{0, 1, 2, 3, 5, 6, 7, 8, 9});
}

TEST_CASE("pauses outlive a restart, and the count of failures too") {
  Simulation before;
  before.put("a", 5);
  before.put("b", 5);
  before.begin();
  before.random = 0.5;
  before.end("a", failed(Verdict::kRate, 100s));
  before.end("b", failed(Verdict::kCredential));
  before.now += 5s;
  const auto pauses = before.schedule.pauses(before.now);
  REQUIRE(pauses.size() == 2);

  Simulation after;
  after.now += 1000h;
  after.schedule.restore(pauses, after.now);
  after.put("a", 5);
  after.put("b", 5);
  after.put("c", 5, "another key");
  CHECK(after.begin() == "c");
  after.end_all(kDelivered);
  CHECK(after.schedule.denied());
  CHECK(after.advance() == 15s);  // 20 s, of which 5 were over
  CHECK(after.begin() == "b");
  after.random = 1;
  after.end("b", failed(Verdict::kCredential));
  CHECK(after.advance() == 60s);  // the second failure in a row
  CHECK(after.begin() == "b");
  after.end("b", kDelivered);
  CHECK(after.begin().empty());
  CHECK(after.advance() == 25s);
  CHECK(after.begin() == "a");
}

TEST_CASE("no pause is longer than a day, whatever was kept") {
  Simulation relay;
  relay.put("a", 1);
  relay.begin();
  relay.end_all(failed(Verdict::kServer));
  auto pauses = relay.schedule.pauses(relay.now);
  REQUIRE(pauses.size() == 1);
  for (const nanoseconds remaining : {nanoseconds(-1), nanoseconds::max(), nanoseconds::min()}) {
    pauses[0].remaining = remaining;
    Simulation after;
    after.schedule.restore(pauses, after.now);
    after.put("a", 1);
    const auto began = after.begin();
    if (remaining.count() < 0) {
      CHECK(began == "a");
    } else {
      CHECK(began.empty());
      CHECK(after.advance() == 24h);
    }
  }
}

TEST_CASE("a hint ends waits, with one request first") {
  Simulation relay;
  relay.put("a", 1);
  relay.put("b", 1);
  relay.begin();
  relay.end("a", failed(Verdict::kRate, 1h));
  relay.end("b", failed(Verdict::kEndpoint));
  CHECK(relay.begin().empty());
  relay.schedule.hurry(relay.now);
  CHECK(relay.count_begun() == 1);
}

TEST_CASE("a lane whose chunks cannot be read or set aside lets others go on") {
  Simulation relay({.batch_chunks = 1});
  relay.put("a", 3);
  relay.put("b", 3);
  Schedule::Lane* lane = relay.schedule.next(relay.now);
  REQUIRE(lane != nullptr);
  relay.schedule.hold(*lane, relay.now);
  CHECK(relay.begin() == "b");
  CHECK(relay.end("b", kRefused) == Action::kDeadLetter);
  const auto found = relay.schedule.next(relay.now);
  REQUIRE(found != nullptr);
  relay.schedule.hold(*found, relay.now);
  CHECK(relay.begin().empty());
  CHECK(relay.advance() == 1s);
  CHECK(relay.count_begun() == 2);
}

TEST_CASE("thousands of lanes cost a request no more than a few do") {
  Simulation relay({.requests = 8, .batch_chunks = 1});
  for (int i = 0; i < 4096; ++i) relay.put(fmt::format("{}", i), 2, fmt::format("{}", i % 7));
  int requests = 0;
  relay.run([&](const auto&, const auto&) {
    ++requests;
    return requests % 3 == 0 ? failed(kFailures[static_cast<std::size_t>(requests) / 3 % 3]) : kDelivered;
  });
  for (const auto& [name, queue] : relay.queues) CHECK(queue.empty());
}

}  // namespace
}  // namespace fieldpipe::relay
