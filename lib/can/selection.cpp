// SPDX-License-Identifier: MIT
#include "can/selection.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "can/decimal.h"
#include "core/bytes.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

constexpr std::uint32_t kExtendedBit = 1U << 31U;
constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::uint64_t kMaxRate = 1'000'000;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr Int128 kMillionthsOfNs = Int128{kNsPerSecond} * kMillion;  // an interval of one millionth, in ns

std::uint32_t key_of(std::uint32_t id, bool extended) { return extended ? id | kExtendedBit : id; }

bool all_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return kHexValue[static_cast<unsigned char>(c)] != kNotHex; });
}

}  // namespace

Result<Rate> Rate::parse(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number)
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not a rate", printable(text)), "samples a second: 10, 0.5");
  if (number->digits <= 0 || number->exponent < -6) {
    return fail(ErrorCode::kUsage, fmt::format("rate {} is not above 0 with at most 6 places", printable(text)));
  }
  Int128 millionths = number->digits;
  for (int power = number->exponent + 6; power > 0 && millionths <= kMaxRate * kMillion; --power) millionths *= 10;
  if (millionths > kMaxRate * kMillion) {
    return fail(ErrorCode::kUsage, fmt::format("rate {} is above {} samples a second", printable(text), kMaxRate));
  }
  Rate rate;
  rate.millionths_ = static_cast<std::uint64_t>(millionths);
  return rate;
}

Rate::Interval Rate::interval_at(std::int64_t time_ns) const {
  // Interval n begins at the first ns that is not before n / rate.
  const auto begin_of = [this](Int128 n) {
    const Int128 scaled = n * kMillionthsOfNs;
    const Int128 ns = scaled / millionths_ + (scaled % millionths_ > 0 ? 1 : 0);
    return static_cast<std::int64_t>(std::min<Int128>(ns, std::numeric_limits<std::int64_t>::max()));
  };
  const Int128 scaled = Int128{time_ns} * millionths_;
  const Int128 n = scaled / kMillionthsOfNs - (scaled % kMillionthsOfNs < 0 ? 1 : 0);
  return {begin_of(n), begin_of(n + 1)};
}

Result<SelectRule> parse_select(std::string_view text) {
  SelectRule rule;
  const std::string_view what = trimmed(text.substr(0, text.rfind(':')));
  if (what.size() < trimmed(text).size()) {
    auto rate = Rate::parse(trimmed(text.substr(text.rfind(':') + 1)));
    if (!rate) return fail(std::move(rate));
    rule.rate = *rate;
  }
  const bool prefixed = what.starts_with("0x") || what.starts_with("0X");
  const std::string_view digits = prefixed ? what.substr(2) : what;
  const bool like_candump = (what.size() == 3 || what.size() == 8) && what[0] >= '0' && what[0] <= '9' && all_hex(what);
  if (!prefixed && !like_candump) {
    if (what.empty())
      return fail(ErrorCode::kUsage, fmt::format("'{}' selects nothing", printable(text)),
                  "0x123, 0x123:10, EngineData:0.5");
    rule.name = what;
    return rule;
  }
  const auto id = parse_integer<std::uint32_t>(digits, 16);
  if (!id || *id > kMaxExtendedId || digits.starts_with('-')) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is not an identifier of at most 29 bits", printable(what)));
  }
  rule.id = *id;
  rule.extended = digits.size() == 8 || *id > kMaxStandardId;
  return rule;
}

Result<std::vector<SelectRule>> parse_select_list(std::string_view text) {
  std::vector<SelectRule> rules;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string_view content = trimmed(line.substr(0, line.find('#')));
    if (content.empty()) continue;
    auto rule = parse_select(content);
    if (!rule) return tl::make_unexpected(std::move(rule).error().in(fmt::format("line {}", number)));
    rules.push_back(*std::move(rule));
  }
  return rules;
}

Result<void> Sampler::add(const SelectRule& rule, std::span<const Database* const> databases) {
  if (rule.name.empty()) {
    selected_[key_of(rule.id, rule.extended)] = rule.rate;
    return {};
  }
  bool found = false;
  for (const Database* database : databases) {
    for (const Message& message : database->messages) {
      if (message.name != rule.name || !message.matchable) continue;
      selected_[key_of(message.id, message.extended)] = rule.rate;
      found = true;
    }
  }
  if (found) return {};
  const bool hex = all_hex(rule.name);
  return fail(ErrorCode::kUsage, fmt::format("no message is called {}", printable(rule.name)),
              hex ? fmt::format("an identifier is written 0x{}", rule.name) : "--dbc with a file that defines it");
}

void Sampler::take(const Sample& sample, std::vector<Sample>& due) {
  release(sample.time_ns, due);
  if (sample.frame.kind != Kind::kClassic && sample.frame.kind != Kind::kFd) return;
  const std::uint32_t key = key_of(sample.frame.id, sample.frame.extended);
  const std::uint64_t stream_key = std::uint64_t{sample.bus} << 32U | key;
  auto known = streams_.find(stream_key);
  if (known == streams_.end()) {
    const auto rule = selected_.find(key);
    if (rule == selected_.end() && !selected_.empty()) return;
    const std::optional<Rate> rate = rule != selected_.end() && rule->second ? rule->second : limit_;
    if (!rate || streams_.size() == kMaxStreams) {
      due.push_back(sample);
      return;
    }
    known = streams_.try_emplace(stream_key).first;
    known->second.rate = *rate;
  }
  Stream& stream = known->second;
  if (sample.time_ns < stream.interval.begin_ns || sample.time_ns >= stream.interval.end_ns) {
    // Only time that goes backwards leaves an interval whose frame is not yet out.
    if (stream.holds) due.push_back(stream.newest);
    stream.interval = stream.rate.interval_at(sample.time_ns);
  }
  stream.holds = true;
  stream.newest = sample;
  next_due_ns_ = std::min(next_due_ns_, stream.interval.end_ns);
}

void Sampler::release(std::int64_t now_ns, std::vector<Sample>& due) {
  if (now_ns < next_due_ns_) return;
  next_due_ns_ = kNever;
  const auto first = static_cast<std::ptrdiff_t>(due.size());
  for (auto& [key, stream] : streams_) {
    if (!stream.holds) continue;
    if (stream.interval.end_ns <= now_ns) {
      due.push_back(stream.newest);
      stream.holds = false;
    } else {
      next_due_ns_ = std::min(next_due_ns_, stream.interval.end_ns);
    }
  }
  // The map has no order of its own, and equal input shall give equal output.
  std::sort(due.begin() + first, due.end(), [](const Sample& a, const Sample& b) {
    return std::tuple(a.time_ns, a.bus, a.frame.extended, a.frame.id) <
           std::tuple(b.time_ns, b.bus, b.frame.extended, b.frame.id);
  });
}

std::optional<std::int64_t> Sampler::next_due_ns() const {
  if (next_due_ns_ == kNever) return std::nullopt;
  return next_due_ns_;
}

}  // namespace fieldpipe::can
