// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "scratch.h"
#include "spool/dead_letters.h"

namespace fieldpipe::spool {
namespace {

DeadLetter letter(std::string payload) {
  return {17, WallTime(std::chrono::seconds(1'700'000'000)), "refused", "HTTP 400", payload.size(), payload};
}

Spool spool_in(const Scratch& folder) {
  Options options;
  options.directory = folder.path;
  options.min_free_bytes = 0;
  auto spool = Spool::open(options);
  REQUIRE(spool);
  return std::move(*spool);
}

DeadLetters letters_of(Spool& spool, std::uint64_t max_bytes = DeadLetters::kDefaultMaxBytes) {
  auto letters = DeadLetters::open(spool, max_bytes);
  REQUIRE(letters);
  return std::move(*letters);
}

struct Shown {
  std::string lane;
  Sequence number;
  std::string payload;
  bool operator==(const Shown&) const = default;
};

std::vector<Shown> shown(const std::string& directory) {
  std::vector<Shown> result;
  REQUIRE(inspect_dead_letters(directory, [&](std::string_view lane, Sequence number, const DeadLetter& dead) {
    result.push_back({std::string(lane), number, dead.payload});
  }));
  return result;
}

Sequence newest(const std::string& directory, std::string_view lane) {
  Sequence number = 0;
  for (const Shown& letter : shown(directory)) {
    if (letter.lane == lane) number = std::max(number, letter.number);
  }
  return number;
}

TEST_CASE("a letter comes back as it was, and a cut one is none") {
  std::string bytes;
  append_dead_letter(bytes, letter("payload"));
  const auto back = decode_dead_letter(as_bytes(bytes));
  REQUIRE(back);
  CHECK(back->sequence == 17);
  CHECK(back->time == letter("").time);
  CHECK(back->reason == "refused");
  CHECK(back->detail == "HTTP 400");
  CHECK(back->payload == "payload");
  CHECK(back->payload_bytes == 7);
  CHECK(back->can_requeue);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_dead_letter(as_bytes(bytes).first(size));
    CHECK(cut.has_value() == (size >= bytes.size() - 7));  // that the payload is short tells payload_bytes
  }
}

TEST_CASE("letters are kept, shown, queued again and removed") {
  const Scratch folder;
  CHECK(shown(folder.path).empty());
  {
    Spool spool = spool_in(folder);
    DeadLetters dead = letters_of(spool);
    REQUIRE(dead.add("a", letter("one")));
    REQUIRE(dead.add("b", letter("two")));
    REQUIRE(dead.add("a", letter("three")));
  }
  const auto letters = shown(folder.path);
  REQUIRE(letters.size() == 3);
  CHECK(letters[2] == Shown{"a", letters[2].number, "three"});

  Spool spool = spool_in(folder);
  DeadLetters dead = letters_of(spool);
  CHECK(dead.kept() == 3);
  CHECK(dead.requeue("a", letters[2].number, spool).value());
  CHECK_FALSE(dead.requeue("a", letters[2].number, spool).value());
  CHECK(dead.remove("b", letters[1].number, spool).value());
  CHECK_FALSE(dead.remove("b", letters[1].number, spool).value());
  CHECK(shown(folder.path) == std::vector<Shown>{letters[0]});
  const auto queued = spool.next("a", 10, 100);
  REQUIRE(queued);
  REQUIRE(queued->size() == 1);
  CHECK(queued->front().payload == "three");
}

TEST_CASE("a letter with the start of its payload only is not queued again") {
  const Scratch folder;
  Spool spool = spool_in(folder);
  DeadLetters dead = letters_of(spool);
  DeadLetter large = letter("start");
  large.payload_bytes = 2'000'000;
  REQUIRE(dead.add("a", large));
  const auto requeued = dead.requeue("a", 1, spool);
  REQUIRE_FALSE(requeued);
  CHECK(requeued.error().what == "dead letter 1: 5 of 2000000 bytes were kept");
  CHECK(dead.kept() == 1);
}

TEST_CASE("of a letter that the store is too small for the start is kept, and it displaces no other") {
  const Scratch folder;
  Spool spool = spool_in(folder);
  DeadLetters dead = letters_of(spool, 32 * 1024);
  REQUIRE(dead.add("a", letter("small")));
  DeadLetter large = letter(std::string(40'000, 'x'));
  large.sequence = *spool.append("a", as_bytes(large.payload));
  REQUIRE(spool.commit());
  REQUIRE(dead.take("a", large, spool));
  CHECK(shown(folder.path) == std::vector<Shown>{{"a", 1, "small"}, {"a", 2, std::string(kKeptBytes, 'x')}});
  CHECK(dead.find("a", 2).value().value().payload_bytes == 40'000);
  CHECK(spool.statistics().queued == 0);
  CHECK(spool.statistics().dead_lettered == 1);
}

TEST_CASE("a letter that is no record is not queued again") {
  const Scratch folder;
  Spool spool = spool_in(folder);
  DeadLetters dead = letters_of(spool);
  DeadLetter line = letter("zz");
  line.sequence = 0;
  line.reason = "bad-record";
  line.can_requeue = false;
  REQUIRE(dead.add("a", line));
  const auto requeued = dead.requeue("a", 1, spool);
  REQUIRE_FALSE(requeued);
  CHECK(requeued.error().what == "dead letter 1: what was refused (bad-record) is no record");
  CHECK(spool.statistics().accepted == 0);
  CHECK(dead.kept() == 1);
}

TEST_CASE("a letter whose record is in the spool is forgotten: it was not taken over to the end") {
  const Scratch folder;
  Spool spool = spool_in(folder);
  {
    DeadLetters dead = letters_of(spool);
    DeadLetter first = letter("first");
    first.sequence = *spool.append("a", as_bytes(first.payload));
    DeadLetter second = letter("second");
    second.sequence = *spool.append("a", as_bytes(second.payload));
    REQUIRE(spool.commit());
    REQUIRE(dead.take("a", first, spool));
    REQUIRE(dead.add("a", second));  // and no more, as when it is killed here
    CHECK(dead.kept() == 2);
  }
  const DeadLetters dead = letters_of(spool);
  CHECK(dead.kept() == 1);
  CHECK(shown(folder.path).front().payload == "first");
  CHECK(spool.statistics().queued == 1);
  CHECK(spool.statistics().dead_lettered == 1);
}

TEST_CASE("the oldest letters make room and are counted as dropped, also over openings") {
  const Scratch folder;
  std::uint64_t evicted = 0;
  for (int run = 0; run < 3; ++run) {
    Spool spool = spool_in(folder);
    DeadLetters dead = letters_of(spool, 128 * 1024);
    for (int i = 0; i < 100; ++i) {
      DeadLetter refused = letter(std::string(1000, 'x'));
      // What was refused at the door was never accepted: of it the spool knows nothing.
      refused.sequence = 0;
      REQUIRE(dead.add("door", refused));
      refused.sequence = *spool.append("a", as_bytes(refused.payload));
      REQUIRE(spool.commit());
      if (i % 10 == 0) continue;
      REQUIRE(dead.take("a", refused, spool));
      if (run == 2 && i == 57) CHECK(dead.requeue("a", newest(folder.path, "a"), spool).value());
      if (run == 2 && i == 58) CHECK(dead.remove("a", newest(folder.path, "a"), spool).value());
      const Statistics s = spool.statistics();
      CHECK(s.accepted == s.queued + s.dead_lettered + s.dropped);
    }
    const Statistics s = spool.statistics();
    CHECK(dead.evicted() >= evicted);
    evicted = dead.evicted();
    CHECK(s.dead_lettered < dead.kept());
    CHECK(s.dead_lettered > dead.kept() / 3);
    CHECK(s.accepted == 100U * static_cast<unsigned>(run + 1));
    CHECK(s.queued == 10U * static_cast<unsigned>(run + 1) + (run == 2 ? 1 : 0));
  }
  CHECK(evicted > 300);
}

}  // namespace
}  // namespace fieldpipe::spool
