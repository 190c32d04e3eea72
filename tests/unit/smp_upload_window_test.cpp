// SPDX-License-Identifier: MIT
#include <deque>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "smp/upload_window.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

// A device as zephyr's image group is one: takes the part it expects, answers all others with where it is.
struct Device {
  std::uint64_t total;
  std::uint64_t at = 0;
  bool open = false;

  std::uint64_t take(std::uint64_t offset, std::uint64_t bytes) {
    if (offset == 0 && !open) {
      open = true;
      return at = bytes;
    }
    if (open && offset == at) at += bytes;
    return open ? at : 0;
  }
};

// How often the client sends before the device has all, or 0 where it gives up. `fate` decides of each request and each
// answer whether it is lost.
template <typename Fate>
std::size_t run(std::size_t window_parts, std::uint64_t total, std::uint64_t part_bytes, Fate&& fate, Device device) {
  struct Flight {
    std::uint8_t sequence;
    std::optional<std::uint64_t> answer;
  };
  UploadWindow window(total, window_parts);
  std::deque<Flight> flights;
  std::uint8_t sequence = 250;
  std::size_t sent = 0;
  while (!window.complete()) {
    if (window.stuck()) return 0;
    while (const auto offset = window.next()) {
      const std::uint64_t bytes = std::min(part_bytes, total - *offset);
      window.sent(++sequence, bytes);
      ++sent;
      REQUIRE(flights.size() < window_parts);
      std::optional<std::uint64_t> answer;
      if (!fate()) {
        answer = device.take(*offset, bytes);
        if (fate()) answer.reset();
      }
      flights.push_back({sequence, answer});
    }
    REQUIRE_FALSE(flights.empty());
    const Flight first = flights.front();
    flights.pop_front();
    if (first.answer) {
      REQUIRE(window.answered(first.sequence, *first.answer));
    } else {
      window.lost(first.sequence);
    }
  }
  CHECK(device.at == total);
  return sent;
}

// A part of `bytes` goes out, and the device answers that it goes on at `offset`.
void exchange(UploadWindow& window, std::uint64_t number, std::uint64_t bytes, std::uint64_t offset) {
  window.sent(number, bytes);
  REQUIRE(window.answered(number, offset));
}

TEST_CASE("without losses each part goes once") {
  for (const std::size_t parts : {1U, 2U, 3U, 8U}) {
    CHECK(run(
              parts, 10000, 100, [] { return false; }, Device{10000}) == 100);
    CHECK(run(
              parts, 1, 100, [] { return false; }, Device{1}) == 1);
  }
}

TEST_CASE("with losses both ways it arrives, and few parts go twice") {
  std::mt19937 random(1);
  for (const std::size_t parts : {1U, 2U, 4U, 8U}) {
    for (int round = 0; round < 20; ++round) {
      const std::size_t sent = run(
          parts, 100000, 300, [&] { return random() % 20 == 0; }, Device{100000});
      CHECK(sent >= 334);
      CHECK(sent < 334 * 2);
    }
  }
}

TEST_CASE("a dead line is given up") {
  CHECK(run(
            4, 1000, 100, [] { return true; }, Device{1000}) == 0);
  // After the first part and its answer.
  int calls = 0;
  CHECK(run(
            4, 1000, 100, [&] { return ++calls > 2; }, Device{1000}) == 0);
}

TEST_CASE("an upload that was begun goes on where it was, also within the first part") {
  for (const std::uint64_t at : {std::uint64_t{50}, std::uint64_t{100}, std::uint64_t{700}, std::uint64_t{1000}}) {
    const std::size_t sent = run(
        3, 1000, 100, [] { return false; }, Device{1000, at, true});
    CHECK(sent == 1 + (1000 - at + 99) / 100);
  }
}

TEST_CASE("the first part goes alone, then as many as fit") {
  UploadWindow window(1000, 3);
  REQUIRE(window.next() == 0);
  window.sent(1, 100);
  CHECK_FALSE(window.next());
  REQUIRE(window.answered(1, 100));
  for (unsigned number = 2; number <= 4; ++number) {
    REQUIRE(window.next() == 100 * (number - 1));
    window.sent(static_cast<std::uint8_t>(number), 100);
  }
  CHECK_FALSE(window.next());
  // The answer to the second settles the first.
  REQUIRE(window.answered(3, 300));
  CHECK(window.acknowledged_bytes() == 300);
  REQUIRE(window.next() == 400);
  window.sent(5, 100);
  REQUIRE(window.next() == 500);
  REQUIRE(window.answered(2, 200));  // late: ignored
  CHECK(window.acknowledged_bytes() == 300);
}

TEST_CASE("a part that is lost: the answers under way first, then from where the device is") {
  UploadWindow window(1000, 3);
  exchange(window, 1, 100, 100);
  window.sent(2, 100);
  window.sent(3, 100);
  window.sent(4, 100);
  REQUIRE(window.answered(3, 100));
  CHECK_FALSE(window.next());
  REQUIRE(window.answered(4, 100));
  CHECK(window.next() == 100);
  CHECK(window.repairs() == 1);
}

TEST_CASE("a device that has forgotten all gets the first part again, and not for ever") {
  UploadWindow window(1000, 1);
  exchange(window, 1, 500, 500);
  exchange(window, 2, 100, 0);
  CHECK(window.next() == 0);
  CHECK(window.acknowledged_bytes() == 0);
  std::uint8_t sequence = 2;
  while (!window.stuck()) {
    exchange(window, ++sequence, 500, 500);
    exchange(window, ++sequence, 100, 0);
    REQUIRE(sequence < 50);
  }
}

TEST_CASE("a device that goes back and forth is given up") {
  UploadWindow window(1000, 1);
  exchange(window, 1, 100, 100);
  std::uint8_t sequence = 1;
  while (!window.stuck()) {
    exchange(window, ++sequence, 100, 200);
    exchange(window, ++sequence, 100, 100);
    REQUIRE(sequence < 50);
  }
}

TEST_CASE("after a time limit one part at a time, until it runs again") {
  UploadWindow window(10000, 4);
  exchange(window, 1, 100, 100);
  window.sent(2, 100);
  window.lost(2);
  std::uint8_t sequence = 2;
  for (unsigned i = 0; i < UploadWindow::kCarefulAnswers; ++i) {
    REQUIRE(window.next() == 100 + 100 * i);
    window.sent(++sequence, 100);
    CHECK_FALSE(window.next());
    REQUIRE(window.answered(sequence, 200 + 100 * i));
  }
  REQUIRE(window.next());
  window.sent(++sequence, 100);
  CHECK(window.next());
}

TEST_CASE("an offset beyond the file, and an empty file") {
  UploadWindow window(100, 1);
  window.sent(1, 100);
  CHECK(window.answered(1, 101).error().what == "the device goes on at byte 101 of 100");
  UploadWindow empty(0, 1);
  REQUIRE(empty.next() == 0);
  exchange(empty, 1, 0, 0);
  CHECK(empty.complete());
}

TEST_CASE("recorded sessions of parts") {
  const auto packets = read_vectors("packets.jsonl");
  const auto payload = [&](const std::string& name) -> Json {
    for (const Json& vector : packets) {
      if (vector["name"] == name) return vector["payload"];
    }
    FAIL(name);
    return {};
  };
  for (const Json& session : read_vectors("sessions.jsonl")) {
    if (!session.contains("final_off")) continue;
    CAPTURE(session["name"].get<std::string>());
    std::uint64_t expected = 0;
    for (const Json& step : session["steps"]) {
      const Json request = payload(step.get<std::string>() + ".req");
      const Json response = payload(step.get<std::string>() + ".rsp");
      if (!response.contains("off")) continue;
      expected = response["off"].get<std::uint64_t>();
      const std::uint64_t begin = request["off"].get<std::uint64_t>();
      const std::uint64_t bytes = request["data"]["$hex"].get<std::string>().size() / 2;
      if (begin > 10000 - 1000) continue;
      // A client at this place of a file goes on where the device says.
      UploadWindow window(132476, 1);
      if (begin > 0) {
        exchange(window, 1, begin, begin);
      }
      exchange(window, 2, bytes, expected);
      CHECK(window.next() == expected);
    }
    CHECK(expected == session["final_off"].get<std::uint64_t>());
  }
}

}  // namespace
}  // namespace fieldpipe::smp
