// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "scratch.h"
#include "spool/inspection.h"
#include "spool/spool.h"

namespace fieldpipe::spool {
namespace {

namespace fs = std::filesystem;

// In memory where that is possible: what survives a crash is the matter of tests/faults, and syncs take time.
struct Folder : Scratch {
  Folder() : Scratch(fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) {}
  [[nodiscard]] std::string spool() const { return *this / "spool"; }
};

Options small(const Folder& folder) {
  Options options;
  options.directory = folder.spool();
  options.segment_bytes = 4096;
  options.acknowledgement_bytes = 512;
  options.max_bytes = 64 * 1024;
  options.min_free_bytes = 0;
  options.max_record_bytes = 8192;
  return options;
}

Spool opened(const Options& options) {
  auto spool = Spool::open(options);
  REQUIRE_MESSAGE(spool, (spool ? "" : spool.error().what));
  return std::move(*spool);
}

Sequence put(Spool& spool, std::string_view lane, std::string_view payload) {
  const auto sequence = spool.append(lane, as_bytes(payload));
  REQUIRE_MESSAGE(sequence, (sequence ? "" : sequence.error().what));
  return *sequence;
}

void commit(Spool& spool) {
  const auto done = spool.commit();
  REQUIRE_MESSAGE(done, (done ? "" : done.error().what));
}

std::vector<Message> take(Spool& spool, std::string_view lane, std::size_t max_records = 1'000'000) {
  auto messages = spool.next(lane, max_records, std::size_t{1} << 30U);
  REQUIRE_MESSAGE(messages, (messages ? "" : messages.error().what));
  return *messages;
}

std::vector<std::string> payloads(const std::vector<Message>& messages) {
  std::vector<std::string> result;
  for (const Message& message : messages) result.push_back(message.payload);
  return result;
}

void check_law(const Spool& spool) {
  const Statistics s = spool.statistics();
  CHECK(s.accepted == s.queued + s.in_flight + s.delivered + s.dead_lettered + s.dropped + s.damaged);
}

using Texts = std::vector<std::string>;

TEST_CASE("what is appended is there after commit, in order within its lane, and once only") {
  const Folder folder;
  Spool spool = opened(small(folder));
  put(spool, "a", "1");
  put(spool, "b", "2");
  put(spool, "a", "3");
  CHECK(take(spool, "a").empty());
  CHECK(spool.statistics().accepted == 0);
  commit(spool);
  CHECK(spool.statistics().accepted == 3);
  CHECK(spool.statistics().syncs == 1);
  CHECK(payloads(take(spool, "a")) == Texts{"1", "3"});
  CHECK(take(spool, "a").empty());
  CHECK(payloads(take(spool, "b")) == Texts{"2"});
  CHECK(take(spool, "nobody").empty());
  CHECK(spool.statistics().in_flight == 3);
  spool.rewind("a");
  CHECK(spool.statistics().in_flight == 1);
  const auto again = take(spool, "a", 1);
  CHECK(payloads(again) == Texts{"1"});
  CHECK(spool.finish("a", again[0].sequence, again[0].sequence) == 1);
  CHECK(spool.finish("a", again[0].sequence, again[0].sequence) == 0);
  check_law(spool);
}

TEST_CASE("a batch is bounded by records and bytes, but for the first record") {
  const Folder folder;
  Spool spool = opened(small(folder));
  for (int i = 0; i < 5; ++i) put(spool, "a", std::string(100, 'x'));
  commit(spool);
  CHECK(spool.next("a", 100, 250)->size() == 2);
  CHECK(spool.next("a", 100, 10)->size() == 1);
  CHECK(spool.next("a", 1, 1000)->size() == 1);
  CHECK(spool.next("a", 100, 1000)->size() == 1);
}

TEST_CASE("lanes are told when they have something to hand out again, and once") {
  const Folder folder;
  Spool spool = opened(small(folder));
  put(spool, "a", "1");
  commit(spool);
  CHECK(spool.take_filled() == std::vector<std::string>{"a"});
  put(spool, "a", "2");
  put(spool, "b", "3");
  put(spool, "b", "4");
  CHECK(spool.take_filled().empty());  // not accepted yet
  commit(spool);
  CHECK(spool.take_filled() == std::vector<std::string>{"b"});
  CHECK(take(spool, "a").size() == 2);  // in flight, not finished
  put(spool, "a", "5");
  commit(spool);
  CHECK(spool.take_filled() == std::vector<std::string>{"a"});
  CHECK(spool.take_filled().empty());
}

TEST_CASE("records and progress are there after opening again") {
  const Folder folder;
  Sequence last = 0;
  {
    Spool spool = opened(small(folder));
    for (int i = 0; i < 10; ++i) last = put(spool, "a", std::to_string(i));
    put(spool, "empty", "");
    commit(spool);
    put(spool, "a", "never committed");
    const auto messages = take(spool, "a", 6);
    spool.finish("a", messages[0].sequence, messages[2].sequence);
    spool.finish("a", messages[4].sequence, messages[4].sequence, Outcome::kDeadLettered);
    check_law(spool);
  }
  Spool spool = opened(small(folder));
  CHECK(spool.statistics().accepted == 11);
  CHECK(spool.statistics().delivered == 3);
  CHECK(spool.statistics().dead_lettered == 1);
  CHECK(spool.statistics().recovered == 7);
  CHECK(payloads(take(spool, "a")) == Texts{"3", "5", "6", "7", "8", "9"});
  CHECK(payloads(take(spool, "empty")) == Texts{""});
  CHECK(put(spool, "a", "new") > last);
  check_law(spool);
}

TEST_CASE("sequences go on although everything was delivered and every segment is gone") {
  const Folder folder;
  Sequence last = 0;
  for (int run = 0; run < 3; ++run) {
    Spool spool = opened(small(folder));
    const Sequence sequence = put(spool, "a", "x");
    CHECK(sequence > last);
    last = sequence;
    commit(spool);
    CHECK(payloads(take(spool, "a")) == Texts{"x"});
    spool.finish("a", 0, ~Sequence{0});
    REQUIRE(spool.sync());
  }
  CHECK(opened(small(folder)).statistics().delivered == 3);
}

TEST_CASE("finishing beyond the last record does not finish records that come later") {
  const Folder folder;
  {
    Spool spool = opened(small(folder));
    put(spool, "a", "1");
    commit(spool);
    spool.finish("a", 0, ~Sequence{0});
    put(spool, "a", "2");
    commit(spool);
  }
  Spool spool = opened(small(folder));
  CHECK(payloads(take(spool, "a")) == Texts{"2"});
}

TEST_CASE("limits of lanes and records are refused with their values") {
  const Folder folder;
  Options options = small(folder);
  options.max_lanes = 2;
  Spool spool = opened(options);
  auto over = spool.append("a", as_bytes(std::string(8193, 'x')));
  REQUIRE_FALSE(over);
  CHECK(over.error().code == ErrorCode::kBadData);
  CHECK(over.error().what == "record of 8193 bytes, the limit is 8KiB");
  put(spool, "a", std::string(8192, 'x'));  // larger than a segment
  over = spool.append(std::string(1025, 'l'), {});
  REQUIRE_FALSE(over);
  CHECK(over.error().what == "lane of 1025 bytes, the limit is 1024");
  put(spool, std::string(1024, 'l'), "");
  over = spool.append("third", {});
  REQUIRE_FALSE(over);
  CHECK(over.error().code == ErrorCode::kRefused);
  CHECK(over.error().what == "2 lanes are in use, the limit");
  commit(spool);
  CHECK(take(spool, "a")[0].payload.size() == 8192);
  // A lane that is done makes place once its segment is gone.
  spool.finish("a", 0, ~Sequence{0});
  put(spool, std::string(1024, 'l'), std::string(4000, 'x'));
  commit(spool);
  put(spool, "third", "");
}

TEST_CASE("a record that the spool is too small for is refused for good, and nothing is dropped for it") {
  const Folder folder;
  Options options = small(folder);
  options.max_record_bytes = std::size_t{1} << 20U;
  options.on_full = OnFull::kDropOldest;
  Spool spool = opened(options);
  CHECK(spool.max_record_bytes() == 32 * 1024);
  put(spool, "a", "x");
  commit(spool);
  const auto over = spool.append("b", as_bytes(std::string(32 * 1024 + 1, 'x')));
  REQUIRE_FALSE(over);
  CHECK(over.error().code == ErrorCode::kBadData);
  CHECK(over.error().what == "record of 32769 bytes, the limit is 32KiB");
  CHECK(spool.statistics().queued == 1);
  put(spool, std::string(1024, 'l'), std::string(32 * 1024, 'x'));
  commit(spool);
}

TEST_CASE("limits that cannot work are refused") {
  const Folder folder;
  Options options = small(folder);
  options.max_bytes = 4 * 4096 + 1023;
  auto spool = Spool::open(options);
  REQUIRE_FALSE(spool);
  CHECK(spool.error().code == ErrorCode::kUsage);
  CHECK(spool.error().what == "a spool of 17407B, 17KiB is the least for segments of 4KiB");
  options.max_bytes = 4 * 4096 + 1024;
  CHECK(Spool::open(options));
  options.segment_bytes = 4095;
  CHECK_FALSE(Spool::open(options));
}

TEST_CASE("one owner, and readers beside it") {
  const Folder folder;
  Spool spool = opened(small(folder));
  const auto second = Spool::open(small(folder));
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::kUnavailable);
  CHECK(second.error().what == folder.spool() + ": in use by process " + std::to_string(::getpid()));
  put(spool, "a", "1");
  const Sequence done = put(spool, "a", "2");
  commit(spool);
  spool.finish("a", done, done);
  std::vector<std::pair<std::string, bool>> seen;
  const auto inspection = inspect(folder.spool(), [&](const Inspected& record) {
    seen.emplace_back(as_text(record.record.payload), record.finished);
  });
  REQUIRE(inspection);
  CHECK(seen == std::vector<std::pair<std::string, bool>>{{"1", false}, {"2", true}});
  CHECK(inspection->statistics.queued == 1);
  CHECK(inspection->statistics.delivered == 1);
}

TEST_CASE("a folder that others may enter is refused, and what is made is private") {
  const Folder folder;
  {
    Spool spool = opened(small(folder));
    put(spool, "a", "1");
    commit(spool);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path)) {
      CHECK((static_cast<unsigned>(entry.status().permissions()) & 077U) == 0);
    }
  }
  REQUIRE(::chmod(folder.spool().c_str(), 0750) == 0);
  const auto spool = Spool::open(small(folder));
  REQUIRE_FALSE(spool);
  CHECK(spool.error().code == ErrorCode::kConfig);
  CHECK(spool.error().what == folder.spool() + ": mode 0750 lets others in");
}

// Appends until the spool is full; returns what was accepted.
Texts fill(Spool& spool, std::string_view lane, std::string_view prefix, int limit = 10'000) {
  Texts accepted;
  for (int i = 0; i < limit; ++i) {
    const std::string payload = std::string(prefix) + std::to_string(i) + std::string(500, '.');
    if (const auto done = spool.append(lane, as_bytes(payload)); !done) {
      CHECK(done.error().code == ErrorCode::kUnavailable);
      break;
    }
    commit(spool);
    accepted.push_back(payload);
  }
  return accepted;
}

std::uint64_t disk_bytes(const Folder& folder) {
  std::uint64_t sum = 0;
  for (const auto& entry : fs::directory_iterator(folder.spool())) {
    if (entry.is_regular_file()) sum += entry.file_size();
  }
  return sum;
}

TEST_CASE("a full spool refuses, drains, and accepts again") {
  const Folder folder;
  Spool spool = opened(small(folder));
  const Texts accepted = fill(spool, "a", "x");
  CHECK(accepted.size() > 80);
  CHECK(spool.full());
  CHECK(spool.statistics().bytes <= 64 * 1024);
  CHECK(disk_bytes(folder) <= 64 * 1024 + 16);  // the lock
  const auto messages = take(spool, "a");
  CHECK(payloads(messages) == accepted);
  spool.finish("a", messages[0].sequence, messages[19].sequence);
  CHECK_FALSE(spool.full());
  put(spool, "a", "again");
  commit(spool);
  check_law(spool);
}

TEST_CASE("a full spool has room again although a lane that does not drain has a record in each segment") {
  const Folder folder;
  Spool spool = opened(small(folder));
  const std::string payload(500, 'x');
  const auto lane = [](int i) { return i % 8 == 0 ? std::string("stuck") : "lane " + std::to_string(i % 8); };
  for (int i = 0; !spool.full(); ++i) {
    const auto appended = spool.append(lane(i), as_bytes(payload));
    CHECK((appended || spool.full()));
    if (appended) commit(spool);
  }
  for (int i = 0; spool.full(); ++i) {
    REQUIRE(i < 1000);
    if (i % 8 == 0) continue;
    for (const Message& message : take(spool, lane(i), 1)) spool.finish(lane(i), message.sequence, message.sequence);
  }
  put(spool, "lane 1", payload);
  commit(spool);
  CHECK(spool.statistics().copied > 0);
  check_law(spool);
}

TEST_CASE("a spool has the space of both acknowledgement files before the disk can be full") {
  const Folder folder;
  const Spool spool = opened(small(folder));
  for (const char* name : {"/acknowledged-a", "/acknowledged-b"}) {
    INFO(name);
    CHECK(fs::file_size(folder.spool() + name) == 512);
  }
}

TEST_CASE("both acknowledgement files have room for what either may have to say, also of many lanes") {
  const Folder folder;
  Spool spool = opened(small(folder));
  put(spool, "stuck", "no segment goes, and so no lane is forgotten");
  constexpr int kLanes = 60;
  std::uint64_t snapshot_bytes = 0;
  for (int i = 0; i < kLanes; ++i) {
    const std::string lane = "lane " + std::to_string(i);
    const Sequence sequence = put(spool, lane, "x");
    commit(spool);
    spool.finish(lane, sequence, sequence);
    snapshot_bytes += range_bytes(lane.size());
  }
  for (const char* name : {"/acknowledged-a", "/acknowledged-b"}) {
    INFO(name);
    CHECK(fs::file_size(folder.spool() + name) > snapshot_bytes);
  }
}

TEST_CASE("a reserve that a kill or a smaller spool left too small is made anew") {
  for (const std::uint64_t size_bytes : {0U, 1024U}) {
    CAPTURE(size_bytes);
    const Folder folder;
    const std::string spare = folder.spool() + "/spare";
    for (int run = 0; run < 2; ++run) {
      Spool spool = opened(small(folder));
      put(spool, "a", "x");
      commit(spool);
      CHECK(fs::file_size(spare) == 4096);
      fs::resize_file(spare, size_bytes);
    }
  }
}

TEST_CASE("drop-newest counts what it refuses") {
  const Folder folder;
  Options options = small(folder);
  options.on_full = OnFull::kDropNewest;
  Spool spool = opened(options);
  fill(spool, "a", "x");
  CHECK(spool.statistics().refused == 1);
  CHECK(spool.statistics().dropped == 0);
  check_law(spool);
}

TEST_CASE("drop-oldest drops whole segments and counts them") {
  const Folder folder;
  Options options = small(folder);
  options.on_full = OnFull::kDropOldest;
  Texts accepted;
  std::uint64_t dropped = 0;
  {
    Spool spool = opened(options);
    accepted = fill(spool, "a", "x", 500);
    CHECK(accepted.size() == 500);
    CHECK(spool.statistics().bytes <= 64 * 1024);
    dropped = spool.statistics().dropped;
    CHECK(dropped > 300);
    check_law(spool);
  }
  Spool spool = opened(options);
  CHECK(spool.statistics().dropped == dropped);
  accepted.erase(accepted.begin(), accepted.begin() + static_cast<std::ptrdiff_t>(dropped));
  CHECK(payloads(take(spool, "a")) == accepted);
}

TEST_CASE("a lane that never drains does not pin segments, and keeps its order") {
  const Folder folder;
  Texts stuck;
  {
    Spool spool = opened(small(folder));
    for (int i = 0; i < 2000; ++i) {
      if (i % 50 == 0) {
        stuck.push_back("stuck " + std::to_string(i) + std::string(100, '.'));
        put(spool, "stuck", stuck.back());
      }
      put(spool, "works", std::string(400, '.'));
      commit(spool);
      const auto messages = take(spool, "works");
      spool.finish("works", messages.front().sequence, messages.back().sequence);
    }
    CHECK(spool.statistics().copied > 0);
    CHECK(spool.statistics().bytes <= 48 * 1024);
    CHECK(payloads(take(spool, "stuck")) == stuck);
    check_law(spool);
  }
  Spool spool = opened(small(folder));
  CHECK(payloads(take(spool, "stuck")) == stuck);
  CHECK(spool.statistics().accepted == 2040);
}

TEST_CASE("a drained spool is small again") {
  const Folder folder;
  Spool spool = opened(small(folder));
  fill(spool, "a", "x");
  spool.finish("a", 0, ~Sequence{0});
  CHECK(spool.statistics().bytes <= 3 * 4096 + 1024);
}

// Files of the folder by name.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    files[entry.path().filename().string()] = text.str();
  }
  return files;
}

void restore(const std::string& folder, const std::map<std::string, std::string>& files) {
  fs::remove_all(folder);
  fs::create_directory(folder);
  REQUIRE(::chmod(folder.c_str(), 0700) == 0);
  for (const auto& [name, text] : files) std::ofstream(folder + "/" + name, std::ios::binary) << text;
}

TEST_CASE("a file cut, zeroed or garbled at any byte costs what it held there, and the spool goes on") {
  const Folder folder;
  Texts all;
  {
    Spool spool = opened(small(folder));
    for (int i = 0; i < 5; ++i) {
      all.push_back("record " + std::to_string(i));
      put(spool, "lane", all.back());
      commit(spool);
    }
    put(spool, "done", "done");
    commit(spool);
    spool.finish("done", 0, ~Sequence{0});
  }
  const auto files = contents(folder.spool());
  std::size_t cases = 0;
  for (const auto& [name, whole] : files) {
    if (name == "lock" || name == "spare") continue;
    const bool segment = name.starts_with("segment");
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const int kind : {0, 1, 2}) {
        if (!segment && at % 7 != 0) continue;
        auto damaged = files;
        std::string& text = damaged[name];
        if (kind == 0) text.resize(at);
        if (kind == 1) std::fill(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), '\0');
        if (kind == 2) text[at] = static_cast<char>(text[at] ^ 0x5A);
        restore(folder.spool(), damaged);
        Spool spool = opened(small(folder));
        const Texts left = payloads(take(spool, "lane"));
        // Everything in front of the damage is there; behind a single bad byte at most one record is missing.
        Texts expected;
        std::size_t missing = 0;
        for (const std::string& payload : all) {
          const std::size_t end = whole.find(payload) + payload.size();
          if (!segment || end <= at) expected.push_back(payload);
        }
        if (segment && kind == 2) {
          CHECK(left.size() + 1 >= all.size());
          expected = left;
        }
        if (left.size() > expected.size()) missing = left.size() - expected.size();
        CHECK(missing <= (segment && kind == 1 ? 1U : 0U));
        for (std::size_t i = 0, j = 0; i < expected.size(); ++i, ++j) {
          while (j < left.size() && left[j] != expected[i]) ++j;
          CHECK(j < left.size());
        }
        check_law(spool);
        CHECK(take(spool, "done").size() <= 1);
        put(spool, "lane", "after");
        commit(spool);
        CHECK(payloads(take(spool, "lane")) == Texts{"after"});
        ++cases;
      }
    }
  }
  MESSAGE(cases << " damaged spools");
}

TEST_CASE("damaged bytes are kept in the quarantine") {
  const Folder folder;
  {
    Spool spool = opened(small(folder));
    put(spool, "lane", "record");
    put(spool, "lane", "second");
    commit(spool);
  }
  auto files = contents(folder.spool());
  files["segment-0000000001"][kSegmentHeaderBytes + 20] ^= 1;
  restore(folder.spool(), files);
  {
    Spool spool = opened(small(folder));
    CHECK(spool.statistics().quarantined_bytes == kRecordHeaderBytes + 10);
    CHECK(payloads(take(spool, "lane")) == Texts{"second"});
    spool.finish("lane", 0, ~Sequence{0});
  }
  const auto kept = contents(folder.spool() + "/quarantine");
  REQUIRE(kept.size() == 1);
  CHECK(kept.begin()->first == "segment-0000000001-0000000040");
  CHECK(kept.begin()->second == files["segment-0000000001"].substr(kSegmentHeaderBytes, kRecordHeaderBytes + 10));
  CHECK_FALSE(fs::exists(folder.spool() + "/segment-0000000001"));
}

TEST_CASE("a segment of another version stays as it is, and new records do not meet its sequences") {
  const Folder folder;
  {
    Spool spool = opened(small(folder));
    for (int i = 0; i < 30; ++i) put(spool, "lane", std::string(300, 'x'));
    commit(spool);
  }
  auto files = contents(folder.spool());
  std::string& header = files["segment-0000000001"];
  header[8] = 2;
  // Only the checksum of the header is the same in all versions.
  SegmentHeader read;
  REQUIRE(decode_segment_header(as_bytes(header), read) == HeaderState::kDamaged);
  std::uint32_t crc = 0xFFFFFFFFU;
  for (std::size_t i = 8; i < kSegmentHeaderBytes; ++i) {
    crc ^= static_cast<unsigned char>(header[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  store_le(static_cast<std::uint32_t>(~crc), reinterpret_cast<std::byte*>(header.data()) + 4);
  restore(folder.spool(), files);
  Sequence sequence = 0;
  for (int run = 0; run < 3; ++run) {
    Spool spool = opened(small(folder));
    CHECK(spool.statistics().foreign_segments == 1);
    const auto left = take(spool, "lane");
    sequence = put(spool, "lane", "new");
    commit(spool);
    CHECK(sequence > (Sequence{1} << 32U));
    spool.finish("lane", 0, ~Sequence{0});
  }
  CHECK(contents(folder.spool())["segment-0000000001"] == header);
  Spool spool = opened(small(folder));
  CHECK(take(spool, "lane").empty());
}

TEST_CASE("a lane that has had its share is refused before a full spool stops the others") {
  const Folder folder;
  Options options = small(folder);
  SUBCASE("block") { options.on_full = OnFull::kBlock; }
  SUBCASE("drop-newest") { options.on_full = OnFull::kDropNewest; }
  Spool spool = opened(options);
  const std::string payload(500, '.');
  put(spool, "quiet", payload);
  commit(spool);
  ErrorCode code = ErrorCode::kBug;
  for (int i = 0; i < 200 && code == ErrorCode::kBug; ++i) {
    const auto done = spool.append("noisy", as_bytes(payload));
    if (!done) code = done.error().code;
    commit(spool);
  }
  CHECK(code == ErrorCode::kRefused);
  CHECK_FALSE(spool.full());
  CHECK(spool.statistics().refused == (options.on_full == OnFull::kDropNewest ? 1 : 0));
  for (int i = 0; i < 10; ++i) put(spool, "quiet", payload);
  commit(spool);
}

TEST_CASE("under drop-oldest a lane that has had its share makes room itself") {
  const Folder folder;
  Options options = small(folder);
  options.on_full = OnFull::kDropOldest;
  Spool spool = opened(options);
  Texts quiet;
  for (int i = 0; i < 10; ++i) {
    quiet.push_back("quiet " + std::to_string(i));
    put(spool, "quiet", quiet.back());
    commit(spool);
    CHECK(fill(spool, "noisy", std::to_string(i), 50).size() == 50);
  }
  CHECK(spool.statistics().dropped > 300);
  CHECK(payloads(take(spool, "quiet")) == quiet);
  check_law(spool);
}

TEST_CASE("records that are too old are dropped, those with a time that cannot be are not") {
  using std::chrono::hours;
  const Folder folder;
  Options options = small(folder);
  const WallTime now = wall_now();
  const std::vector<std::pair<WallTime, std::string>> records = {{now - hours(3), "old"},
                                                                 {now - hours(2), "old too"},
                                                                 {WallTime(hours(1)), "a clock that was not set"},
                                                                 {now - hours(2), "old, behind"},
                                                                 {now + hours(9), "of the future"},
                                                                 {now - hours(0), "new"}};
  {
    Spool spool = opened(options);
    for (const auto& [time, payload] : records) REQUIRE(spool.append("a", as_bytes(payload), time));
    commit(spool);
  }
  const Texts kept = {"a clock that was not set", "old, behind", "of the future", "new"};
  {
    options.max_age = hours(1);
    Spool spool = opened(options);
    CHECK(payloads(take(spool, "a")) == kept);
    CHECK(spool.statistics().dropped == 2);
    CHECK(spool.statistics().expired == 2);
    check_law(spool);
    // What is older than the time since it came says that the clock was set in between.
    REQUIRE(spool.append("b", as_bytes("accepted before the clock was set"), now - hours(5)));
    commit(spool);
    CHECK(take(spool, "b").size() == 1);
  }
}

TEST_CASE("a full spool does not wait for someone to ask for records that are too old") {
  using std::chrono::hours;
  const Folder folder;
  Options options = small(folder);
  {
    Spool spool = opened(options);
    while (spool.append("a", as_bytes(std::string(500, '.')), wall_now() - hours(2))) commit(spool);
    CHECK(spool.full());
  }
  options.max_age = hours(1);
  Spool spool = opened(options);
  put(spool, "a", "new");
  commit(spool);
  CHECK(payloads(take(spool, "a")) == Texts{"new"});
  check_law(spool);
}

TEST_CASE("what the figures say") {
  const Folder folder;
  Options options = small(folder);
  Spool spool = opened(options);
  CHECK_FALSE(spool.oldest());
  const WallTime now = wall_now();
  REQUIRE(spool.append("lane", as_bytes("12345"), now));
  REQUIRE(spool.append("other", as_bytes("1"), now + std::chrono::seconds(1)));
  commit(spool);
  CHECK(spool.oldest() == now);
  CHECK(spool.statistics().queued_bytes == record_bytes(4, 5) + record_bytes(5, 1));
  take(spool, "lane");
  CHECK(spool.statistics().queued_bytes == record_bytes(4, 5) + record_bytes(5, 1));
  CHECK(spool.find("lane", 1).value().value().payload == "12345");
  spool.finish("lane", 1, 1);
  CHECK_FALSE(spool.find("lane", 1).value());
  CHECK_FALSE(spool.find("lane", 2).value());
  CHECK(spool.statistics().queued_bytes == record_bytes(5, 1));
  CHECK(spool.lanes().front().bytes == record_bytes(5, 1));
  CHECK(spool.oldest() == now + std::chrono::seconds(1));
  const Statistics s = spool.statistics();
  CHECK(s.syncs == 1);
  CHECK(s.sync_errors == 0);
  CHECK(s.sync_time.count() > 0);
  CHECK(std::accumulate(s.sync_counts.begin(), s.sync_counts.end(), std::uint64_t{0}) == 1);
  CHECK(spool.free_bytes().value() > 0);
}

TEST_CASE("each record is synced by itself, or none is") {
  const Folder folder;
  Options options = small(folder);
  options.fsync = Fsync::kAlways;
  {
    Spool spool = opened(options);
    put(spool, "a", "1");
    put(spool, "a", "2");
    CHECK(spool.statistics().syncs == 2);
    CHECK(payloads(take(spool, "a")) == Texts{"1", "2"});
  }
  options.fsync = Fsync::kOff;
  Spool spool = opened(options);
  put(spool, "a", "3");
  CHECK(payloads(take(spool, "a")) == Texts{"1", "2"});
  commit(spool);
  CHECK(payloads(take(spool, "a")) == Texts{"3"});
  CHECK(spool.statistics().syncs == 0);
}

// The spool as the model has it: lanes of payloads by sequence.
struct Model {
  std::map<std::string, std::map<Sequence, std::string>> lanes;
  std::set<Sequence> old;  // accepted longer ago than max_age
  std::uint64_t accepted = 0;
  std::uint64_t finished = 0;
  std::uint64_t dropped = 0;
  bool drops_oldest = false;
};

std::map<Sequence, std::string> found_in(Spool& spool, const std::string& lane) {
  spool.rewind(lane);
  std::map<Sequence, std::string> found;
  Sequence last = 0;
  for (const Message& message : take(spool, lane)) {
    CHECK(message.sequence > last);
    last = message.sequence;
    found[message.sequence] = message.payload;
  }
  spool.rewind(lane);
  return found;
}

// Takes what the spool dropped out of the model: as many as it says, and none that it had no reason to drop.
void drop(Spool& spool, Model& model) {
  if (spool.statistics().dropped == model.dropped) return;
  for (auto& [lane, records] : model.lanes) {
    const auto found = found_in(spool, lane);
    for (auto record = records.begin(); record != records.end();) {
      if (found.contains(record->first)) {
        ++record;
        continue;
      }
      CHECK((model.drops_oldest || model.old.contains(record->first)));
      record = records.erase(record);
      ++model.dropped;
      ++model.finished;
    }
  }
  CHECK(spool.statistics().dropped == model.dropped);
}

void compare(Spool& spool, Model& model) {
  for (const auto& [lane, records] : model.lanes) found_in(spool, lane);  // which drops what is too old
  drop(spool, model);
  for (const auto& [lane, records] : model.lanes) CHECK(found_in(spool, lane) == records);
  CHECK(spool.statistics().accepted == model.accepted);
  CHECK(spool.statistics().queued == model.accepted - model.finished);
  check_law(spool);
}

TEST_CASE("random operations agree with a model, opened again at random points") {
  const char* prove = std::getenv("FIELDPIPE_PROVE");
  const unsigned seeds = prove != nullptr ? 400 : 25;
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    const Folder folder;
    Model model;
    Options options = small(folder);
    options.on_full = static_cast<OnFull>(seed % 3);
    if (seed % 2 == 0) options.max_age = std::chrono::hours(1);
    model.drops_oldest = options.on_full == OnFull::kDropOldest;
    std::vector<std::pair<std::string, std::pair<Sequence, std::string>>> pending;
    std::optional<Spool> spool;
    spool.emplace(opened(options));
    for (int step = 0; step < 600; ++step) {
      const std::string lane = "lane " + std::to_string(below(5));
      auto& records = model.lanes[lane];
      switch (below(12)) {
        default: {
          std::string payload(below(below(10) == 0 ? 5000 : 300), static_cast<char>('a' + below(26)));
          const auto before = spool->statistics().accepted;
          const bool old = below(3) == 0;
          const auto sequence = spool->append(lane, as_bytes(payload), wall_now() - std::chrono::hours(old ? 2 : 0));
          if (sequence && old) model.old.insert(*sequence);
          // To make room, what was pending is accepted first.
          if (spool->statistics().accepted > before) {
            for (auto& [name, record] : pending) model.lanes[name].insert(record), ++model.accepted;
            pending.clear();
          }
          if (sequence) {
            pending.push_back({lane, {*sequence, payload}});
          } else {
            // In a small spool with five lanes, more often than not because the lane has had its share.
            CHECK((sequence.error().code == ErrorCode::kUnavailable || sequence.error().code == ErrorCode::kRefused));
          }
          drop(*spool, model);
          break;
        }
        case 0:
        case 1:
          commit(*spool);
          for (auto& [name, record] : pending) model.lanes[name].insert(record), ++model.accepted;
          pending.clear();
          break;
        case 2:
        case 3: {  // a run from the front, as a batch is delivered
          std::size_t count = 0;
          const std::size_t wanted = 1 + below(20);
          Sequence last = 0;
          const auto messages = take(*spool, lane, wanted);
          drop(*spool, model);
          if (messages.empty()) break;
          last = messages.back().sequence;
          for (auto record = records.begin(); record != records.end() && record->first <= last;) {
            record = records.erase(record);
            ++count;
          }
          CHECK(spool->finish(lane, 0, last) == count);
          model.finished += count;
          break;
        }
        case 4: {  // one out of order
          if (records.empty()) break;
          const auto record = std::next(records.begin(), below(static_cast<unsigned>(records.size())));
          const auto outcome = static_cast<Outcome>(1 + below(3));
          CHECK(spool->finish(lane, record->first, record->first, outcome) == 1);
          if (outcome == Outcome::kDropped) ++model.dropped;
          records.erase(record);
          ++model.finished;
          break;
        }
        case 5: spool->rewind(lane); break;
        case 6:
          if (below(4) != 0) break;
          spool.reset();
          pending.clear();
          spool.emplace(opened(options));
          compare(*spool, model);
          break;
        case 7:
          if (below(4) == 0) REQUIRE(spool->sync());
          break;
      }
      CHECK(spool->statistics().bytes <= 64 * 1024);
    }
    compare(*spool, model);
  }
  MESSAGE("seeds 1 to " << seeds);
}

}  // namespace
}  // namespace fieldpipe::spool
