// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "spool/format.h"

namespace fieldpipe::spool {
namespace {

const SpoolId kId{std::byte{1}, std::byte{2}, std::byte{3}};
const WallTime kTime{std::chrono::nanoseconds{1'700'000'000'123'456'789}};

// A segment with one record for each of these payloads, sequences from 1.
std::string segment(const std::vector<std::string>& payloads, std::size_t zeros = 64) {
  std::string bytes;
  append_segment_header(bytes, {7, kId, 1});
  Sequence sequence = 0;
  for (const std::string& payload : payloads) {
    append_record(bytes, record_seed(kId, 7), {++sequence, kTime, "lane", as_bytes(payload)});
  }
  bytes.append(zeros, '\0');
  return bytes;
}

struct Scan {
  std::vector<std::string> payloads;
  std::vector<SegmentScanner::Damage> damage;
  std::size_t end = 0;
};

Scan scan(std::string_view bytes) {
  // A copy of its own, so that a sanitizer sees a read beyond the end.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  SegmentScanner scanner(as_bytes({copy.data(), copy.size()}), record_seed(kId, 7));
  Scan result;
  while (const auto found = scanner.next()) result.payloads.emplace_back(as_text(found->record.payload));
  result.damage = scanner.damage();
  result.end = scanner.end();
  return result;
}

const std::vector<std::string> kPayloads{"first", "", "the third record", "4"};

TEST_CASE("a record comes back with all it has") {
  const std::string bytes = segment({"payload"});
  const auto record = decode_record(as_bytes(bytes).subspan(kSegmentHeaderBytes), record_seed(kId, 7));
  REQUIRE(record);
  CHECK(record->sequence == 1);
  CHECK(record->time == kTime);
  CHECK(record->lane == "lane");
  CHECK(as_text(record->payload) == "payload");
  SegmentHeader header;
  REQUIRE(decode_segment_header(as_bytes(bytes), header) == HeaderState::kGood);
  CHECK(header.number == 7);
  CHECK(header.id == kId);
  CHECK(header.first == 1);
}

TEST_CASE("a record is one of its own segment and spool only") {
  const std::string bytes = segment({"payload"});
  const Bytes window = as_bytes(bytes).subspan(kSegmentHeaderBytes);
  CHECK_FALSE(decode_record(window, record_seed(kId, 8)));
  CHECK_FALSE(decode_record(window, record_seed(SpoolId{}, 7)));
}

TEST_CASE("zeros are no record, no header and no progress") {
  const std::string zeros(4096, '\0');
  CHECK_FALSE(decode_record(as_bytes(zeros), record_seed(kId, 7)));
  CHECK_FALSE(decode_record(as_bytes(zeros), 0));
  SegmentHeader header;
  CHECK(decode_segment_header(as_bytes(zeros), header) == HeaderState::kDamaged);
  CHECK_FALSE(decode_progress(as_bytes(zeros)));
  CHECK(scan(zeros).payloads.empty());
  CHECK(scan(zeros).damage.empty());
}

TEST_CASE("an intact header of another version is foreign") {
  std::string bytes;
  append_segment_header(bytes, {7, kId, 1});
  bytes[8] = 2;
  SegmentHeader header;
  CHECK(decode_segment_header(as_bytes(bytes), header) == HeaderState::kDamaged);
  // CRC-32 of the header above with version 2, taken with another implementation (Python's zlib).
  store_le(std::uint32_t{0xbca7b0fb}, reinterpret_cast<std::byte*>(bytes.data()) + 4);
  CHECK(decode_segment_header(as_bytes(bytes), header) == HeaderState::kForeign);
}

TEST_CASE("a segment cut at any byte keeps the records before the cut") {
  const std::string whole = segment(kPayloads, 0);
  std::vector<std::size_t> ends;
  SegmentScanner scanner(as_bytes(whole), record_seed(kId, 7));
  while (scanner.next()) ends.push_back(scanner.end());
  REQUIRE(ends.size() == kPayloads.size());
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    std::size_t kept = 0;
    while (kept < ends.size() && ends[kept] <= cut) ++kept;
    const std::vector<std::string> expected(kPayloads.begin(), kPayloads.begin() + static_cast<std::ptrdiff_t>(kept));
    CHECK(scan(whole.substr(0, cut)).payloads == expected);
    std::string zeroed = whole.substr(0, cut);
    zeroed.resize(whole.size(), '\0');
    const auto payloads = scan(zeroed).payloads;
    CHECK(payloads.size() >= kept);  // the last bytes of a record may be zero themselves
    CHECK(payloads.size() <= kept + 1);
  }
}

TEST_CASE("a garbled byte costs the record it is in and no other") {
  const std::string whole = segment(kPayloads);
  std::vector<SegmentScanner::Damage> places;
  {
    SegmentScanner scanner(as_bytes(whole), record_seed(kId, 7));
    while (const auto found = scanner.next()) places.push_back({found->offset, found->offset + found->size_bytes});
  }
  for (std::size_t at = kSegmentHeaderBytes; at < places.back().end; ++at) {
    std::string garbled = whole;
    garbled[at] = static_cast<char>(garbled[at] ^ 0x41);
    std::vector<std::string> expected;
    std::vector<SegmentScanner::Damage> damage;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (at >= places[i].begin && at < places[i].end) {
        damage.push_back(places[i]);
      } else {
        expected.push_back(kPayloads[i]);
      }
    }
    const Scan result = scan(garbled);
    CHECK(result.payloads == expected);
    CHECK(result.damage == damage);
  }
}

TEST_CASE("a record planted in a payload is not taken for one when the record around it is damaged") {
  std::string planted;
  append_record(planted, record_seed(SpoolId{}, 7), {1, kTime, "lane", as_bytes("planted")});
  std::string bytes = segment({planted, "last"});
  bytes[kSegmentHeaderBytes + 8] ^= 1;
  CHECK(scan(bytes).payloads == std::vector<std::string>{"last"});
}

std::string progress(const std::vector<Range>& snapshot, const std::vector<Range>& behind) {
  std::string bytes;
  begin_progress(bytes, {kId, 3, 50, {10, 1, 2, 0}});
  const std::uint32_t seed = progress_seed(kId, 3);
  for (const Range& range : snapshot) append_range(bytes, seed, range);
  end_progress(bytes);
  for (const Range& range : behind) append_range(bytes, seed, range);
  return bytes;
}

TEST_CASE("progress comes back, and its totals and next sequence take the ranges in") {
  std::string bytes = progress({{Outcome::kDelivered, "a", 1, 9, 0}},
                               {{Outcome::kDelivered, "b", 60, 70, 4}, {Outcome::kDropped, "a", 20, 20, 1}});
  bytes.append(100, '\0');
  const auto decoded = decode_progress(as_bytes(bytes));
  REQUIRE(decoded);
  CHECK(decoded->header.id == kId);
  CHECK(decoded->header.generation == 3);
  CHECK(decoded->header.next == 71);
  CHECK(decoded->header.totals == Totals{14, 1, 3, 0});
  REQUIRE(decoded->ranges.size() == 3);
  CHECK(decoded->ranges[1].lane == "b");
  CHECK(decoded->ranges[1].first == 60);
  CHECK(decoded->ranges[1].last == 70);
  CHECK(decoded->end == bytes.size() - 100);
}

TEST_CASE("a damaged snapshot is none, a damaged range ends what is behind the snapshot") {
  const std::string bytes = progress({{Outcome::kDelivered, "a", 1, 9, 0}}, {{Outcome::kDelivered, "b", 60, 70, 4}});
  const std::size_t snapshot = progress({{Outcome::kDelivered, "a", 1, 9, 0}}, {}).size();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string garbled = bytes;
    garbled[at] = static_cast<char>(garbled[at] ^ 0x41);
    const auto decoded = decode_progress(as_bytes(garbled));
    CHECK(decoded.has_value() == (at >= snapshot));
    if (decoded) CHECK(decoded->ranges.size() == 1);
    const auto cut = decode_progress(as_bytes(bytes).first(at));
    CHECK(cut.has_value() == (at >= snapshot));
  }
}

}  // namespace
}  // namespace fieldpipe::spool
