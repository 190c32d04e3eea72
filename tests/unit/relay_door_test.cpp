// SPDX-License-Identifier: MIT
#include "relay/door.h"

#include <sys/resource.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "io/descriptor.h"
#include "relay/lane.h"
#include "scratch.h"

namespace fieldpipe::relay {
namespace {

const std::string kKey = "0123456789abcdef0123456789ABCDEF";

// A door into a spool of its own.
struct House {
  explicit House(DoorSettings settings = {}, spool::Options options = {}) {
    options.directory = scratch / "spool";
    options.min_free_bytes = 0;
    auto opened = spool::Spool::open(options);
    REQUIRE(opened);
    store.emplace(*std::move(opened));
    auto letters = spool::DeadLetters::open(*store);
    REQUIRE(letters);
    dead.emplace(*std::move(letters));
    settings.answers = true;
    settings.on_full = options.on_full;
    if (!settings.has_key) settings.has_key = [](std::string_view) { return false; };
    door.emplace(*store, *dead, std::move(settings), out);
  }
  ~House() {
    door.reset();
    dead.reset();
    store.reset();
  }

  // What is answered to one record.
  std::string answer(const Incoming& record) {
    out.clear();
    REQUIRE(door->take(record));
    CHECK(out.empty());  // not before it is on the disk
    REQUIRE(door->commit());
    return out;
  }

  std::vector<std::string> letters() const {
    std::vector<std::string> found;
    REQUIRE(spool::inspect_dead_letters(scratch / "spool", [&](std::string_view lane, auto, const auto& letter) {
      const auto parts = parse_lane(lane);
      found.push_back((parts ? std::string(parts->device) : "-") + " " + letter.reason + " " +
                      std::to_string(letter.payload_bytes) + " " + letter.payload.substr(0, 20));
    }));
    return found;
  }

  Scratch scratch;
  std::optional<spool::Spool> store;
  std::optional<spool::DeadLetters> dead;
  std::string out;
  std::optional<Door> door;
};

Incoming from(std::string_view device, std::string_view chunk, std::string_view key = kKey) {
  Incoming record;
  record.device = device;
  record.project_key = key;
  record.chunk = chunk;
  return record;
}

spool::Options limited_to(std::size_t max_record_bytes) {
  spool::Options options;
  options.max_record_bytes = max_record_bytes;
  return options;
}

TEST_CASE("records are answered in order once they are on the disk") {
  House house;
  for (const char* chunk : {"one", "", "three"}) REQUIRE(house.door->take(from("D", chunk)));
  CHECK(house.door->unanswered() == 3);
  CHECK(house.store->statistics().accepted == 0);
  REQUIRE(house.door->commit());
  CHECK(house.out == "{\"ack\":1,\"sequence\":1}\n{\"ack\":2,\"error\":\"empty\"}\n{\"ack\":3,\"sequence\":2}\n");
  CHECK(house.store->statistics().accepted == 2);
  CHECK(house.store->statistics().syncs == 1);
  CHECK(house.letters() == std::vector<std::string>{"D empty 0 "});
  CHECK_FALSE(house.door->pending());
}

TEST_CASE("what is refused is kept, with its reason") {
  House house({}, limited_to(4));
  CHECK(house.answer(from("../x", "ab")).ends_with("\"bad-device-id\"}\n"));
  CHECK(house.answer(from("", "ab")).ends_with("\"bad-device-id\"}\n"));
  CHECK(house.answer(from(std::string(129, 'x'), "ab")).ends_with("\"bad-device-id\"}\n"));
  CHECK(house.answer(from("D", "abcd")).ends_with("\"sequence\":1}\n"));
  CHECK(house.answer(from("D", "abcde")).ends_with("\"oversize\"}\n"));
  CHECK(house.answer(from("D", "ab", "short")).ends_with("\"bad-key\"}\n"));
  Incoming keyless = from("D", "ab");
  keyless.project_key.reset();
  CHECK(house.answer(keyless).ends_with("\"no-key\"}\n"));
  Incoming refused;
  refused.refusal = "bad-record";
  refused.chunk = "zz";
  CHECK(house.answer(refused).ends_with("\"bad-record\"}\n"));
  const std::vector<std::string> kept{"- bad-device-id 2 ab", "- bad-device-id 2 ab", "- bad-device-id 2 ab",
                                      "D oversize 5 abcde",   "D bad-key 2 ab",       "D no-key 2 ab",
                                      "- bad-record 2 zz"};
  CHECK(house.letters() == kept);
  CHECK(house.door->counts().rejected_sum() == 7);
  CHECK(house.door->counts().rejected.at("bad-device-id") == 3);
}

TEST_CASE("of a record over the limit the start is kept") {
  House house({}, limited_to(10'000));
  CHECK(house.answer(from("D", std::string(10'001, 'x'))).ends_with("\"oversize\"}\n"));
  CHECK(house.letters() == std::vector<std::string>{"D oversize 10001 " + std::string(20, 'x')});
}

TEST_CASE("a configured key stays out of the spool, one of a record goes with it") {
  House house({.device = {}, .has_key = [](std::string_view device) { return device == "A"; }});
  house.answer(from("A", "x"));
  house.answer(from("B", "x"));
  CHECK(house.store->find_lane(lane({"A", {}, {}})));
  CHECK(house.store->find_lane(lane({"B", {}, kKey})));
}

TEST_CASE("a form without names needs a device and a key that are configured") {
  Incoming record;
  record.anonymous = true;
  record.chunk = "x";
  House unnamed;
  const auto no_device = unnamed.door->take(record);
  REQUIRE_FALSE(no_device);
  CHECK(no_device.error().code == ErrorCode::kUsage);
  CHECK(no_device.error().hint == "--device SERIAL");
  House keyless({.device = "D", .has_key = {}});
  const auto no_key = keyless.door->take(record);
  REQUIRE_FALSE(no_key);
  CHECK(no_key.error().code == ErrorCode::kDenied);
  CHECK(no_key.error().what == "no project key");
  House both({.device = "D", .has_key = [](std::string_view) { return true; }});
  CHECK(both.answer(record) == "{\"ack\":1,\"sequence\":1}\n");
}

TEST_CASE("what is on the disk is not taken in again while a dead letter cannot be written") {
  House house;
  house.answer(from("D", "one"));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The dead letters have no file yet, and no other may be opened.
  const io::Descriptor first_free(::dup(STDERR_FILENO));
  const rlimit none{static_cast<rlim_t>(first_free.get()) + 1, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  house.out.clear();
  CHECK(house.door->take(from("..", "bad")));
  CHECK(house.door->take(from("D", "two")));
  for (int i = 0; i < 3; ++i) {
    CHECK(house.door->commit());
    CHECK(house.door->blocked());
    CHECK(house.out.empty());
    CHECK(house.store->statistics().accepted == 2);
  }
  CHECK(house.door->unanswered() == 2);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(house.door->commit());
  CHECK_FALSE(house.door->blocked());
  CHECK(house.out == "{\"ack\":2,\"error\":\"bad-device-id\"}\n{\"ack\":3,\"sequence\":2}\n");
  CHECK(house.letters() == std::vector<std::string>{"- bad-device-id 3 bad"});
  CHECK(house.store->statistics().accepted == 2);
}

TEST_CASE("a full spool blocks, keeps what is in hand, and goes on") {
  spool::Options small;
  small.segment_bytes = 4096;
  small.acknowledgement_bytes = 4096;
  small.max_bytes = 64 * 1024;
  House house({}, small);
  const std::string chunk(2000, 'x');
  unsigned taken = 0;
  while (!house.door->blocked()) {
    REQUIRE(house.door->open());
    REQUIRE(house.door->take(from("D", chunk)));
    ++taken;
    REQUIRE(house.door->commit());
  }
  CHECK_FALSE(house.door->open());
  CHECK(house.door->unanswered() == 1);
  CHECK(house.store->statistics().accepted == taken - 1);
  const std::string name = lane({"D", {}, kKey});
  const auto messages = house.store->next(name, 100, 1 << 20);
  REQUIRE(messages);
  house.store->finish(name, messages->front().sequence, messages->back().sequence);
  REQUIRE(house.door->commit());
  CHECK(house.door->open());
  CHECK(house.store->statistics().accepted == taken);
}

TEST_CASE("under drop-newest what has no room is answered and leaves nothing") {
  spool::Options small;
  small.segment_bytes = 4096;
  small.acknowledgement_bytes = 4096;
  small.max_bytes = 64 * 1024;
  small.on_full = spool::OnFull::kDropNewest;
  House house({}, small);
  std::string answer;
  while (!answer.ends_with("\"full\"}\n")) answer = house.answer(from("D", std::string(2000, 'x')));
  CHECK(house.letters().empty());
  CHECK(house.door->open());
}

TEST_CASE("too many devices") {
  spool::Options few;
  few.max_lanes = 1;
  House house({}, few);
  CHECK(house.answer(from("A", "x")).ends_with("\"sequence\":1}\n"));
  CHECK(house.answer(from("B", "x")).ends_with("\"too-many-devices\"}\n"));
  CHECK(house.answer(from("A", "x")).ends_with("\"sequence\":2}\n"));
}

TEST_CASE("a batch is complete by its size, its number and its age") {
  House house;
  CHECK_FALSE(house.door->due());
  REQUIRE(house.door->take(from("D", std::string(Door::kBatchBytes - 1, 'x'))));
  CHECK(house.door->open());
  REQUIRE(house.door->take(from("D", "x")));
  CHECK(house.door->due());
  CHECK_FALSE(house.door->open());
  REQUIRE(house.door->commit());
  CHECK(house.door->open());
}

}  // namespace
}  // namespace fieldpipe::relay
