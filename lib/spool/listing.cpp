// SPDX-License-Identifier: MIT
#include "spool/listing.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/clock.h"
#include "digest/digest.h"
#include "json/writer.h"
#include "spool/dead_letters.h"
#include "spool/inspection.h"

namespace fieldpipe::spool {
namespace {

// How often damage is looked at: what an owner is just writing is not damage the next time.
constexpr int kLooks = 3;

// NDJSON, a line at a time.
class Lines {
 public:
  explicit Lines(const Listing& listing) : listing_(listing), out_(listing.out) {}

  // Appends `"key":` behind what the line has so far.
  std::string& key(std::string_view name) {
    out_ += fmt::format("{}\"{}\":", std::exchange(open_, true) ? "," : "{", name);
    return out_;
  }
  void text(std::string_view name, std::string_view value) { json::append_string(key(name), value); }
  void number(std::string_view name, std::uint64_t value) { json::append_integer(key(name), value); }
  void time(WallTime value) { json::append_seconds(key("time"), value.time_since_epoch()); }
  void payload(Bytes bytes) {
    key("payload_b64") += '"';
    append_base64(out_, bytes);
    out_ += '"';
  }
  void sha256(Bytes bytes) {
    key("sha256") += '"';
    append_hex(out_, as_bytes(digest::digest(digest::Algorithm::kSha256, bytes)));
    out_ += '"';
  }

  void end() {
    out_ += "}\n";
    open_ = false;
    if (listing_.line_done) listing_.line_done();
  }

 private:
  const Listing& listing_;
  std::string& out_;
  bool open_ = false;
};

// The figures of one folder, and its damage. An owner may be at work: only damage that stays is some.
Result<std::uint64_t> check_folder(const std::string& directory, std::string_view name, Lines& lines) {
  auto inspected = inspect(directory, [](const Inspected&) {});
  if (!inspected) return fail(std::move(inspected));
  for (int look = 1; look < kLooks && !inspected->damage.empty(); ++look) {
    auto again = inspect(directory, [](const Inspected&) {});
    if (!again) return fail(std::move(again));
    std::erase_if(again->damage, [&](const auto& damage) {
      return std::find(inspected->damage.begin(), inspected->damage.end(), damage) == inspected->damage.end();
    });
    inspected = std::move(again);
  }
  for (const Index::Damage& damage : inspected->damage) {
    lines.text("folder", name);
    lines.number("segment", damage.segment);
    lines.number("damaged_from", damage.bytes.begin);
    lines.number("damaged_to", damage.bytes.end);
    lines.end();
  }
  const Statistics& s = inspected->statistics;
  lines.text("folder", name);
  for (const auto& [key, value] :
       std::initializer_list<std::pair<std::string_view, std::uint64_t>>{{"accepted", s.accepted},
                                                                         {"queued", s.queued},
                                                                         {"delivered", s.delivered},
                                                                         {"dead_lettered", s.dead_lettered},
                                                                         {"dropped", s.dropped},
                                                                         {"damaged", s.damaged},
                                                                         {"segments", s.segments},
                                                                         {"foreign_segments", s.foreign_segments},
                                                                         {"bytes", s.bytes}}) {
    lines.number(key, value);
  }
  lines.end();
  return inspected->damage.size() + s.foreign_segments;
}

// What an owner keeps behind a NUL, as a project key, is its own.
std::string_view shown_part(std::string_view lane) { return lane.substr(0, lane.find('\0')); }

}  // namespace

Result<void> list_records(const std::string& directory, const Listing& listing) {
  Lines lines(listing);
  const auto shown = inspect(directory, [&](const Inspected& found) {
    const Record& record = found.record;
    if (listing.payloads && found.finished) return;
    lines.number("sequence", record.sequence);
    lines.text("lane", shown_part(record.lane));
    lines.time(record.time);
    if (listing.payloads) {
      lines.payload(record.payload);
    } else {
      lines.number("length", record.payload.size());
      lines.sha256(record.payload);
      lines.text("state", found.finished ? "finished" : "queued");
      lines.number("segment", found.segment);
    }
    lines.end();
  });
  return shown ? Result<void>() : fail(Result<Inspection>(shown));
}

Result<void> list_dead_letters(const std::string& directory, const Listing& listing) {
  Lines lines(listing);
  return inspect_dead_letters(directory, [&](std::string_view lane, Sequence number, const DeadLetter& letter) {
    lines.number("number", number);
    if (letter.sequence != 0) lines.number("sequence", letter.sequence);
    lines.text("lane", shown_part(lane));
    lines.time(letter.time);
    lines.text("reason", letter.reason);
    lines.text("detail", letter.detail);
    lines.number("length", letter.payload_bytes);
    if (listing.payloads) {
      lines.payload(as_bytes(letter.payload));
    } else {
      lines.number("kept", letter.payload.size());
      lines.sha256(as_bytes(letter.payload));
    }
    lines.end();
  });
}

Result<std::uint64_t> list_damage(const std::string& directory, const Listing& listing) {
  Lines lines(listing);
  auto faults = check_folder(directory, "records", lines);
  if (!faults) return faults;
  auto dead = check_folder(fmt::format("{}/{}", directory, kDeadLettersFolder), "dead", lines);
  if (!dead && dead.error().code != ErrorCode::kNoInput) return dead;
  return *faults + dead.value_or(0);
}

}  // namespace fieldpipe::spool
