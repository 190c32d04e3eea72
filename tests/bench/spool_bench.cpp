// SPDX-License-Identifier: MIT
// The spool by itself, and SQLite as a queue for the same records on the same disk.
//
//   spool_bench spool DIR RECORDS BATCH     accepts records of 300 bytes, BATCH at a time
//   spool_bench sqlite DIR RECORDS BATCH    the same as rows of a table, in WAL mode with synchronous=FULL
//   spool_bench open DIR                    opens the spool
//
// Prints the seconds that took, the bytes that it wrote to the disk, records, and KiB of memory at most.
#include <sqlite3.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "core/clock.h"
#include "core/text.h"
#include "spool/spool.h"

namespace {

using namespace fieldpipe;

constexpr std::size_t kRecordBytes = 300;
// As many devices as the rows of single chunks have. Each is a place of its own in the index of a database.
constexpr unsigned kLanes = 64;

[[noreturn]] void die(std::string_view what) {
  fmt::print(stderr, "spool_bench: {}\n", what);
  std::exit(1);
}

// What this process has sent to the disk so far.
std::uint64_t written_bytes() {
  std::ifstream io("/proc/self/io");
  for (std::string line; std::getline(io, line);) {
    constexpr std::string_view kKey = "write_bytes: ";
    if (line.starts_with(kKey)) return parse_integer<std::uint64_t>(line.substr(kKey.size())).value_or(0);
  }
  return 0;
}

spool::Options options(const char* directory) {
  spool::Options result;
  result.directory = directory;
  result.max_bytes = std::uint64_t{1} << 30U;
  result.min_free_bytes = 0;
  return result;
}

std::uint64_t accept(const char* directory, unsigned records, unsigned batch) {
  auto spool = spool::Spool::open(options(directory));
  if (!spool) die(spool.error().what);
  std::string payload(kRecordBytes, 'x');
  for (unsigned i = 0; i < records; ++i) {
    payload[i % kRecordBytes] = static_cast<char>(i);
    if (auto appended = spool->append(fmt::format("device {}", i % kLanes), as_bytes(payload)); !appended) {
      die(appended.error().what);
    }
    if ((i + 1) % batch != 0) continue;
    if (auto committed = spool->commit(); !committed) die(committed.error().what);
  }
  return spool->statistics().accepted;
}

void execute(sqlite3* database, const char* statement) {
  if (sqlite3_exec(database, statement, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(database));
}

std::uint64_t insert(const std::string& directory, unsigned records, unsigned batch) {
  sqlite3* database = nullptr;
  if (sqlite3_open((directory + "/queue.db").c_str(), &database) != SQLITE_OK) die("cannot open the database");
  execute(database, "PRAGMA journal_mode=WAL");
  execute(database, "PRAGMA synchronous=FULL");
  execute(database, "CREATE TABLE queue (sequence INTEGER PRIMARY KEY, lane TEXT, time INTEGER, payload BLOB)");
  // What a queue of many devices needs to find the next record of one, and what a lane of the spool is.
  execute(database, "CREATE INDEX lanes ON queue (lane, sequence)");
  sqlite3_stmt* insertion = nullptr;
  sqlite3_prepare_v2(database, "INSERT INTO queue (lane, time, payload) VALUES (?, ?, ?)", -1, &insertion, nullptr);
  std::string payload(kRecordBytes, 'x');
  execute(database, "BEGIN");
  for (unsigned i = 0; i < records; ++i) {
    payload[i % kRecordBytes] = static_cast<char>(i);
    const std::string lane = fmt::format("device {}", i % kLanes);
    sqlite3_bind_text(insertion, 1, lane.data(), static_cast<int>(lane.size()), SQLITE_STATIC);
    sqlite3_bind_int64(insertion, 2, wall_now().time_since_epoch().count());
    sqlite3_bind_blob(insertion, 3, payload.data(), static_cast<int>(payload.size()), SQLITE_STATIC);
    if (sqlite3_step(insertion) != SQLITE_DONE) die(sqlite3_errmsg(database));
    sqlite3_reset(insertion);
    if ((i + 1) % batch == 0) execute(database, "COMMIT; BEGIN");
  }
  execute(database, "COMMIT");
  sqlite3_finalize(insertion);
  sqlite3_close(database);
  return records;
}

std::uint64_t open(const char* directory) {
  auto spool = spool::Spool::open(options(directory));
  if (!spool) die(spool.error().what);
  return spool->statistics().queued;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 2 ? argv[1] : "";
  const auto number = [&](int i) { return i < argc ? parse_integer<unsigned>(argv[i]).value_or(1) : 1; };
  const std::uint64_t written = written_bytes();
  const MonotonicTime start = monotonic_now();
  std::uint64_t records = 0;
  if (command == "spool") {
    records = accept(argv[2], number(3), number(4));
  } else if (command == "sqlite") {
    records = insert(argv[2], number(3), number(4));
  } else if (command == "open") {
    records = open(argv[2]);
  } else {
    die("usage: spool|sqlite DIR RECORDS BATCH, or open DIR");
  }
  const std::chrono::duration<double> seconds = monotonic_now() - start;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{} {} {} {}\n", seconds.count(), written_bytes() - written, records, usage.ru_maxrss);
  return 0;
}
