// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "scratch.h"
#include "uplink_service/stream.h"

using namespace fieldpipe;
using namespace fieldpipe::uplink_service;
using std::chrono::seconds;

namespace {

struct Folder : Scratch {
  [[nodiscard]] spool::Spool spool(spool::OnFull on_full = spool::OnFull::kBlock) const {
    spool::Options options;
    options.directory = *this / "spool";
    options.min_free_bytes = 0;
    options.fsync = spool::Fsync::kOff;  // no power is cut here
    options.segment_bytes = 4096;
    options.acknowledgement_bytes = 4096;
    options.max_bytes = 64 << 10;
    options.on_full = on_full;
    auto spool = spool::Spool::open(options);
    REQUIRE(spool);
    return *std::move(spool);
  }
};

uplink::StreamSettings settings(std::size_t batch_size) {
  uplink::StreamSettings settings;
  settings.name = "s";
  settings.batch_size = batch_size;
  settings.flush_period = seconds(10);
  return settings;
}

constexpr MonotonicTime kNow{seconds(1000)};

void add(Stream& stream, spool::Spool* spool, int first, int last) {
  for (int i = first; i <= last; ++i) REQUIRE(stream.append(fmt::format("{}", i)));
  if (spool != nullptr) REQUIRE(spool->commit());
  stream.accept(kNow);
}

std::optional<Handover> taken(Stream& stream) {
  auto message = stream.take();
  REQUIRE(message);
  return *std::move(message);
}

std::string text(Stream& stream) {
  const auto message = taken(stream);
  return message ? message->payload : "nothing";
}

}  // namespace

TEST_CASE("batches close by count and by time") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(3), "t", 1000, false, &spool);
  add(stream, &spool, 1, 2);
  CHECK_FALSE(stream.has_message());
  CHECK(stream.flush_at() == kNow + seconds(10));
  add(stream, &spool, 3, 4);
  CHECK(text(stream) == "[1,2,3]");
  CHECK(text(stream) == "nothing");
  stream.flush(kNow);
  CHECK_FALSE(stream.flush_at());
  CHECK(text(stream) == "[4]");
}

TEST_CASE("what is not committed is nothing") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(1), "t", 1000, false, &spool);
  REQUIRE(stream.append("1"));
  CHECK_FALSE(stream.has_message());
  CHECK(stream.staged() == 1);
}

TEST_CASE("a backlog is cut into full batches, in order, and live points wait behind it") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(3), "t", 1000, false, &spool);
  for (int i = 1; i <= 4; ++i) {  // four batches of one point, closed by time
    add(stream, &spool, i, i);
    stream.flush(kNow);
  }
  CHECK(text(stream) == "[1]");  // kept as text
  CHECK(text(stream) == "[2,3,4]");
  add(stream, &spool, 5, 7);
  CHECK(text(stream) == "[5,6,7]");
}

TEST_CASE("live data first") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(1), "t", 1000, true, &spool);
  add(stream, &spool, 1, 4);
  CHECK(text(stream) == "[4]");
  add(stream, &spool, 5, 5);
  CHECK(text(stream) == "[5]");
  CHECK(text(stream) == "[1]");
  add(stream, &spool, 6, 6);
  CHECK(text(stream) == "[6]");
  CHECK(text(stream) == "[2]");
  CHECK(text(stream) == "[3]");
  CHECK(text(stream) == "nothing");
}

TEST_CASE("a message of the backlog never stands for records that are under way in another") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(2), "t", 1000, true, &spool);
  add(stream, &spool, 1, 2);
  add(stream, &spool, 3, 4);
  const auto live = taken(stream);
  CHECK(live->payload == "[3,4]");
  add(stream, &spool, 5, 5);
  stream.flush(kNow);
  add(stream, &spool, 6, 6);
  stream.flush(kNow);
  CHECK(text(stream) == "[6]");
  const auto before = taken(stream);
  CHECK(before->payload == "[1,2]");
  const auto behind = taken(stream);
  CHECK(behind->payload == "[5]");
  stream.finish(*before, spool::Outcome::kDelivered);
  stream.finish(*behind, spool::Outcome::kDelivered);
  stream.settle();
  CHECK(spool.statistics().delivered == 3);
}

TEST_CASE("what is not finished comes again after a restart, and at once when it is asked for") {
  Folder folder;
  {
    auto spool = folder.spool();
    Stream stream(settings(2), "t", 1000, false, &spool);
    add(stream, &spool, 1, 5);
    const auto first = taken(stream);
    CHECK(first->payload == "[1,2]");
    CHECK(text(stream) == "[3,4]");
    stream.finish(*first, spool::Outcome::kDelivered);
    stream.requeue();
    CHECK(text(stream) == "[3,4]");
    CHECK(text(stream) == "[5]");
  }
  auto spool = folder.spool();
  Stream stream(settings(2), "t", 1000, false, &spool);
  CHECK(text(stream) == "[3,4]");
  CHECK(text(stream) == "[5]");
  CHECK(text(stream) == "nothing");
}

TEST_CASE("memory holds the newest, and says what it dropped") {
  uplink::StreamSettings small = settings(2);
  small.memory_bytes = 12;
  Stream stream(small, "t", 1000, false, nullptr);
  add(stream, nullptr, 1, 7);
  CHECK(stream.dropped() == 2);
  CHECK(stream.in_memory() == 5);
  const auto message = taken(stream);
  CHECK(message->payload == "[3,4]");
  stream.finish(*message, spool::Outcome::kDropped);
  CHECK(stream.dropped() == 4);
  CHECK(text(stream) == "[5,6]");
}

TEST_CASE("a point that no message can hold is refused") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(2), "topic", 200, false, &spool);
  const auto refused = stream.append(std::string(200, '1'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kBadData);
  CHECK(refused.error().what == "a point of 200 bytes, a message to topic holds 131");
}

TEST_CASE("a status without a spool goes first and is finished without one") {
  Folder folder;
  auto spool = folder.spool();
  Stream stream(settings(1), "t", 1000, false, &spool);
  add(stream, &spool, 1, 1);
  stream.push("2");
  const auto message = taken(stream);
  CHECK(message->payload == "[2]");
  stream.finish(*message, spool::Outcome::kDelivered);
  CHECK(spool.statistics().delivered == 0);
  CHECK(text(stream) == "[1]");
}

// Whatever the order of events, each point is delivered, in order unless live data goes first, and once unless
// something was asked for again.
TEST_CASE("random runs") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Folder folder;
    auto spool = folder.spool(seed % 3 == 2 ? spool::OnFull::kDropOldest : spool::OnFull::kBlock);
    const bool live_first = seed % 2 == 1;
    std::mt19937 random(seed);
    Stream stream(settings(1 + random() % 5), "t", 300, live_first, &spool);
    std::deque<Handover> under_way;
    std::vector<int> delivered;
    int next = 1;
    bool requeued = false;
    const auto finish = [&](std::size_t index) {
      const Handover message = std::move(under_way[index]);
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(index));
      std::string_view text = message.payload;
      text = text.substr(1, text.size() - 2);
      while (!text.empty()) {
        const std::string_view number = text.substr(0, text.find(','));
        delivered.push_back(std::stoi(std::string(number)));
        text.remove_prefix(std::min(text.size(), number.size() + 1));
      }
      stream.finish(message, spool::Outcome::kDelivered);
    };
    for (int step = 0; step < 400; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          for (auto i = random() % 9; i > 0; --i) {
            if (stream.append(fmt::format("{}", next))) ++next;
          }
          REQUIRE(spool.commit());
          stream.accept(kNow);
          break;
        case 3: stream.flush(kNow); break;
        case 4:
        case 5:
          if (auto message = taken(stream)) under_way.push_back(*std::move(message));
          break;
        case 6:
          if (!under_way.empty()) finish(seed % 4 == 0 ? 0 : random() % under_way.size());
          if (random() % 2 == 0) stream.settle();
          break;
        default:
          if (random() % 20 == 0) {
            under_way.clear();
            stream.requeue();
            requeued = true;
          }
      }
    }
    stream.flush(kNow);
    for (;;) {
      if (auto message = taken(stream)) {
        under_way.push_back(*std::move(message));
      } else if (under_way.empty()) {
        break;
      } else {
        finish(0);
      }
    }
    stream.settle();
    CAPTURE(seed);
    CHECK(stream.idle());
    const std::set<int> once(delivered.begin(), delivered.end());
    const spool::Statistics statistics = spool.statistics();
    CHECK(statistics.queued + statistics.in_flight == 0);
    CHECK(statistics.accepted == static_cast<std::uint64_t>(next - 1));
    CHECK(statistics.delivered + statistics.dropped == statistics.accepted);
    if (statistics.dropped == 0) CHECK(once.size() == static_cast<std::size_t>(next - 1));
    if (!requeued) CHECK(delivered.size() == once.size());
    if (!requeued && !live_first && seed % 4 == 0) CHECK(std::is_sorted(delivered.begin(), delivered.end()));
  }
}
