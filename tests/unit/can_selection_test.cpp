// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "can/selection.h"

namespace fieldpipe::can {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

std::string describe(const SelectRule& rule) {
  std::string out = rule.name.empty() ? std::to_string(rule.id) + (rule.extended ? "x" : "") : rule.name;
  if (rule.rate) out += " every " + std::to_string(rule.rate->interval_at(0).end_ns);
  return out;
}

std::string selected(std::string_view text) {
  auto rule = parse_select(text);
  if (!rule) {
    CHECK(rule.error().code == ErrorCode::kUsage);
    return rule.error().what;
  }
  return describe(*rule);
}

Rate rate(std::string_view text) {
  auto parsed = Rate::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

Sample sample(std::int64_t time_ns, std::uint32_t id, std::uint32_t bus = 0) {
  Sample out{time_ns, bus, {}};
  out.frame.id = id;
  out.frame.kind = Kind::kClassic;
  return out;
}

// "ms since the start, identifier" of each.
std::string describe(const std::vector<Sample>& samples) {
  std::string out;
  for (const Sample& one : samples) {
    out += std::to_string((one.time_ns - kStart) / kMs) + ":" + std::to_string(one.frame.id) +
           (one.bus != 0 ? "@" + std::to_string(one.bus) : "") + " ";
  }
  return out;
}

void select(Sampler& sampler, std::string_view text, const Database* database = nullptr) {
  const std::vector<const Database*> databases(database != nullptr ? 1 : 0, database);
  REQUIRE(sampler.add(*parse_select(text), databases));
}

TEST_CASE("rules: identifiers as candump has them, names, rates") {
  CHECK(selected("0x123") == "291");
  CHECK(selected("0x00000123") == "291x");
  CHECK(selected("0X800") == "2048x");
  CHECK(selected("123") == "291");
  CHECK(selected("18FEF100") == "419361024x");
  CHECK(selected("0x123:10") == "291 every 100000000");
  CHECK(selected(" 7FF : 0.5 ") == "2047 every 2000000000");
  CHECK(selected("EngineData:1e3") == "EngineData every 1000000");
  CHECK(selected("ACC") == "ACC");
  CHECK(selected("12") == "12");
  CHECK(selected("0x20000000") == "'0x20000000' is not an identifier of at most 29 bits");
  CHECK(selected("0x-1") == "'0x-1' is not an identifier of at most 29 bits");
  CHECK(selected("0x") == "'0x' is not an identifier of at most 29 bits");
  CHECK(selected("99999999") == "'99999999' is not an identifier of at most 29 bits");
  CHECK(selected("") == "'' selects nothing");
  CHECK(selected(":10") == "':10' selects nothing");
  CHECK(selected("A:") == "'' is not a rate");
  CHECK(selected("A:x") == "'x' is not a rate");
  CHECK(selected("A:0") == "rate 0 is not above 0 with at most 6 places");
  CHECK(selected("A:-1") == "rate -1 is not above 0 with at most 6 places");
  CHECK(selected("A:0.0000001") == "rate 0.0000001 is not above 0 with at most 6 places");
  CHECK(selected("A:1000000.5") == "rate 1000000.5 is above 1000000 samples a second");
}

TEST_CASE("lists: a rule a line, remarks, the line of a fault") {
  auto rules = parse_select_list("# all of it\n0x123:10  # fast\r\n\n EngineData\n18FEF100:1");
  REQUIRE(rules);
  REQUIRE(rules->size() == 3);
  CHECK(describe((*rules)[0]) == "291 every 100000000");
  CHECK(describe((*rules)[1]) == "EngineData");
  CHECK(describe((*rules)[2]) == "419361024x every 1000000000");
  auto broken = parse_select_list("0x123\nA:x\n");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().what == "line 2: 'x' is not a rate");
}

TEST_CASE("intervals follow each other without gaps, also where they are no whole number of ns") {
  const Rate thirds = rate("3");
  CHECK(thirds.interval_at(0).begin_ns == 0);
  CHECK(thirds.interval_at(0).end_ns == 333'333'334);
  CHECK(thirds.interval_at(333'333'333).end_ns == 333'333'334);
  CHECK(thirds.interval_at(333'333'334).begin_ns == 333'333'334);
  CHECK(thirds.interval_at(999'999'999).end_ns == kSecond);
  CHECK(thirds.interval_at(-1).begin_ns == -333'333'333);
  CHECK(thirds.interval_at(-1).end_ns == 0);
  for (const char* text : {"0.000001", "0.7", "3", "10", "999.999999", "1000000"}) {
    const Rate any = rate(text);
    for (const std::int64_t at : {kStart, kStart + 12'345'678, std::int64_t{5}, std::int64_t{-7}}) {
      const auto interval = any.interval_at(at);
      CHECK(interval.begin_ns <= at);
      CHECK(at < interval.end_ns);
      CHECK(any.interval_at(interval.end_ns - 1).begin_ns == interval.begin_ns);
      CHECK(any.interval_at(interval.end_ns).begin_ns == interval.end_ns);
    }
  }
  CHECK(rate("0.000001").interval_at(INT64_MAX).end_ns == INT64_MAX);
}

TEST_CASE("a rate leaves the newest frame of each interval") {
  Sampler sampler;
  select(sampler, "0x123:10");
  std::vector<Sample> due;
  for (int ms = 0; ms < 1000; ++ms) {
    sampler.take(sample(kStart + ms * kMs, 0x123), due);
    sampler.take(sample(kStart + ms * kMs, 0x124), due);
  }
  sampler.finish(due);
  CHECK(describe(due) == "99:291 199:291 299:291 399:291 499:291 599:291 699:291 799:291 899:291 999:291 ");
}

TEST_CASE("without a rate frames pass at once, and without a rule all do") {
  Sampler all;
  CHECK(all.passes_all());
  std::vector<Sample> due;
  all.take(sample(kStart, 1), due);
  CHECK(describe(due) == "0:1 ");
  Sampler some;
  select(some, "0x2");
  CHECK_FALSE(some.passes_all());
  due.clear();
  some.take(sample(kStart, 1), due);
  some.take(sample(kStart, 2), due);
  CHECK(describe(due) == "0:2 ");
  // Another width of identifier is another message.
  Sample extended = sample(kStart, 2);
  extended.frame.extended = true;
  due.clear();
  some.take(extended, due);
  CHECK(due.empty());
}

TEST_CASE("the general rate holds for what has none of its own, each identifier and bus for itself") {
  Sampler sampler;
  sampler.limit(rate("1"));
  select(sampler, "0x1");
  select(sampler, "0x2:2");
  std::vector<Sample> due;
  for (const int ms : {0, 100, 600, 900}) {
    for (const std::uint32_t id : {1U, 2U, 3U}) {
      for (const std::uint32_t bus : {0U, 1U}) sampler.take(sample(kStart + ms * kMs, id, bus), due);
    }
  }
  CHECK(describe(due) == "100:2 100:2@1 ");
  CHECK(sampler.next_due_ns() == kStart + kSecond);
  due.clear();
  sampler.release(kStart + kSecond - 1, due);
  CHECK(due.empty());
  sampler.release(kStart + kSecond, due);
  CHECK(describe(due) == "900:1 900:2 900:1@1 900:2@1 ");
  CHECK_FALSE(sampler.next_due_ns());
}

TEST_CASE("time that jumps back begins another interval, and nothing is lost") {
  Sampler sampler;
  sampler.limit(rate("1"));
  std::vector<Sample> due;
  sampler.take(sample(kStart + 2500 * kMs, 1), due);
  sampler.take(sample(kStart + 500 * kMs, 1), due);
  CHECK(describe(due) == "2500:1 ");
  sampler.finish(due);
  CHECK(describe(due) == "2500:1 500:1 ");
}

TEST_CASE("names select messages of databases, the last rule holds") {
  const Database database = *parse_dbc("BO_ 256 A: 8 X\nBO_ 2147483904 B: 8 X\nBO_ 257 ACC: 8 X\n");
  Sampler sampler;
  select(sampler, "A:1", &database);
  select(sampler, "0x100", &database);
  std::vector<Sample> due;
  sampler.take(sample(kStart, 0x100), due);
  sampler.take(sample(kStart, 0x101), due);
  CHECK(describe(due) == "0:256 ");
  const Database* const databases[] = {&database};
  auto unknown = sampler.add(*parse_select("Nothing"), databases);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().what == "no message is called Nothing");
  CHECK(unknown.error().hint == "--dbc with a file that defines it");
  CHECK(sampler.add(*parse_select("FED"), databases).error().hint == "an identifier is written 0xFED");
}

TEST_CASE("only data frames pass") {
  Sampler sampler;
  sampler.limit(rate("1"));
  std::vector<Sample> due;
  Sample remote = sample(kStart, 1);
  remote.frame.kind = Kind::kRemote;
  sampler.take(remote, due);
  sampler.finish(due);
  CHECK(due.empty());
}

}  // namespace
}  // namespace fieldpipe::can
