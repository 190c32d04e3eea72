// SPDX-License-Identifier: MIT
#include "can/signal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <tuple>

#include "can/j1939.h"
#include "json/writer.h"

namespace fieldpipe::can {
namespace {

constexpr std::uint32_t kExtendedBit = 1U << 31U;

// The largest offset that eight bytes of a frame can be loaded from.
constexpr std::size_t kLastLoad = kMaxFdBytes - 8;

std::uint32_t key_of(std::uint32_t id, bool extended) { return extended ? id | kExtendedBit : id; }

bool is_data(const Frame& frame) { return frame.kind == Kind::kClassic || frame.kind == Kind::kFd; }

// IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
double half_of(std::uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10U & 0x1FU);
  const auto fraction = static_cast<int>(bits & 0x3FFU);
  double value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? HUGE_VAL : std::nan("");
  } else {
    value = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

}  // namespace

SignalPlan::SignalPlan(const Signal& signal)
    : signal_(&signal),
      mask_(~std::uint64_t{0} >> (64U - signal.length_bits)),
      sign_bit_(signal.type == ValueType::kSigned ? std::uint64_t{1} << (signal.length_bits - 1U) : 0),
      end_byte_(static_cast<std::uint16_t>(signal.end_byte())),
      motorola_(signal.byte_order == ByteOrder::kMotorola),
      scaling_(signal.factor, signal.offset, signal.length_bits, signal.type == ValueType::kSigned) {
  always_finite_ = signal.type != ValueType::kFloat && scaling_.is_exact();
  json::append_string(key_, signal.name);
  key_.push_back(':');
  // A signal beyond all frames is never extracted.
  if (end_byte_ > kMaxFdBytes) return;
  // Places from the start of the data, in the order of the signal's own bits.
  const std::size_t first = motorola_ ? signal.start_bit / 8U * 8U + (7U - signal.start_bit % 8U) : signal.start_bit;
  load_byte_ = static_cast<std::uint8_t>(std::min(first / 8, kLastLoad));
  const std::size_t inside = first - load_byte_ * std::size_t{8};
  const std::size_t end = inside + signal.length_bits;
  ninth_bits_ = static_cast<std::uint8_t>(end > 64 ? end - 64 : 0);
  shift_ = static_cast<std::uint8_t>(!motorola_ ? inside : end > 64 ? 0 : 64 - end);
}

std::uint64_t SignalPlan::extract(const std::array<std::byte, kMaxFdBytes>& data) const {
  const std::byte* const from = data.data() + load_byte_;
  std::uint64_t raw = 0;
  std::memcpy(&raw, from, sizeof(raw));
  if (motorola_ == (std::endian::native == std::endian::little)) raw = __builtin_bswap64(raw);
  raw >>= shift_;
  if (ninth_bits_ != 0) {
    const auto ninth = std::to_integer<std::uint64_t>(from[8]);
    raw = motorola_ ? raw << ninth_bits_ | ninth >> (8U - ninth_bits_) : raw | ninth << (64U - shift_);
  }
  return ((raw & mask_) ^ sign_bit_) - sign_bit_;
}

double SignalPlan::float_of(std::uint64_t raw) const {
  double value = 0;
  switch (signal_->length_bits) {
    case 16: value = half_of(raw); break;
    case 32: value = std::bit_cast<float>(static_cast<std::uint32_t>(raw)); break;
    default: value = std::bit_cast<double>(raw); break;
  }
  return scaling_.value_of(value);
}

bool SignalPlan::is_finite_value(std::uint64_t raw) const {
  return std::isfinite(signal_->type == ValueType::kFloat ? float_of(raw) : scaling_.value(raw));
}

char* SignalPlan::put_float(char* to, std::uint64_t raw) const { return put_double(to, float_of(raw)); }

void append_physical(std::string& out, const SignalPlan& plan, std::uint64_t raw) {
  std::array<char, kMaxScaledBytes> text;
  out.append(text.data(), plan.put_physical(text.data(), raw));
}

void MessagePlan::compile() const {
  compiled_ = true;
  const std::vector<Signal>& signals = message_->signals;
  std::vector<std::uint32_t> order(signals.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const Signal& x = signals[a];
    const Signal& y = signals[b];
    if (x.is_multiplexed != y.is_multiplexed) return y.is_multiplexed;
    return x.is_multiplexed && std::tie(x.multiplexor, x.ranges) < std::tie(y.multiplexor, y.ranges);
  });
  signals_.reserve(signals.size());
  std::vector<std::uint32_t> place_of(signals.size());
  for (const std::uint32_t index : order) {
    place_of[index] = static_cast<std::uint32_t>(signals_.size());
    signals_.emplace_back(signals[index]);
    if (!signals[index].is_multiplexed) ++in_every_frame_;
  }

  for (std::size_t first = in_every_frame_; first < signals_.size();) {
    const Signal& signal = signals_[first].signal();
    const auto same = [&](const SignalPlan& plan) {
      return plan.signal().multiplexor == signal.multiplexor && plan.signal().ranges == signal.ranges;
    };
    const auto end = std::find_if_not(signals_.begin() + static_cast<std::ptrdiff_t>(first), signals_.end(), same);
    const auto end_index = static_cast<std::size_t>(end - signals_.begin());
    // Signals without ranges are never present, and their multiplexor means nothing.
    if (!signal.ranges.empty()) {
      SignalPlan& multiplexor = signals_[place_of[signal.multiplexor]];
      if (multiplexor.end_choice_ == 0) multiplexor.first_choice_ = static_cast<std::uint32_t>(choices_.size());
      for (const ValueRange& values : signal.ranges) {
        choices_.push_back({values, 0, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end_index)});
      }
      multiplexor.end_choice_ = static_cast<std::uint32_t>(choices_.size());
    }
    first = end_index;
  }
  for (const SignalPlan& plan : signals_) {
    const auto choices = std::span(choices_).subspan(plan.first_choice_, plan.end_choice_ - plan.first_choice_);
    std::ranges::sort(choices, {}, [](const Choice& choice) { return std::pair(choice.values, choice.first); });
    std::uint64_t reach = 0;
    for (Choice& choice : choices) choice.reach = reach = std::max(reach, choice.values.last);
  }
}

// Calls `take` for each choice that the value of a multiplexor makes and gives their number. Choices before the first
// one that reaches the value end below it, and those from a larger first value on begin above it.
template <typename Take>
std::size_t MessagePlan::select(const SignalPlan& multiplexor, std::uint64_t raw, Take take) const {
  const std::uint64_t value = raw & multiplexor.mask_;
  const auto choices =
      std::span(choices_).subspan(multiplexor.first_choice_, multiplexor.end_choice_ - multiplexor.first_choice_);
  std::size_t count = 0;
  for (auto at = std::ranges::lower_bound(choices, value, {}, &Choice::reach); at != choices.end(); ++at) {
    if (at->values.first > value) break;
    if (at->values.last < value) continue;
    take(*at);
    ++count;
  }
  return count;
}

// Adds what can be given to `values`, and calls `omit` for what cannot.
template <typename Omit>
void MessagePlan::walk(const Frame& frame, std::vector<SignalValue>& values, Omit omit) const {
  if (!compiled_) compile();
  const std::size_t length = frame.payload().size();
  const auto take = [&](std::size_t first, std::size_t end) {
    for (const SignalPlan& plan : std::span(signals_).subspan(first, end - first)) {
      if (plan.end_byte_ > length) {
        omit(plan, Omission::kBeyondFrame);
        continue;
      }
      const std::uint64_t raw = plan.extract(frame.data);
      if (plan.is_finite(raw)) {
        values.push_back({&plan, raw});
      } else {
        omit(plan, Omission::kNotFinite);
      }
    }
  };
  take(0, in_every_frame_);
  if (choices_.empty()) return;
  // What a multiplexor selects is added behind, and looked at in its turn. Each signal has one multiplexor and no chain
  // is a circle, so each is added once.
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto [plan, raw] = values[i];
    if (plan->end_choice_ == 0) continue;
    const std::size_t selected = select(*plan, raw, [&](const Choice& choice) { take(choice.first, choice.end); });
    if (selected == 0) omit(*plan, Omission::kUnknownMultiplexer);
  }
}

void MessagePlan::decode(const Frame& frame, Decoding& out) const {
  out.values.clear();
  out.beyond_frame = out.unknown_multiplexer = out.not_finite = 0;
  walk(frame, out.values, [&](const SignalPlan&, Omission why) {
    switch (why) {
      case Omission::kBeyondFrame: ++out.beyond_frame; return;
      case Omission::kUnknownMultiplexer: ++out.unknown_multiplexer; return;
      case Omission::kNotFinite: ++out.not_finite; return;
    }
  });
}

std::vector<LeftOut> MessagePlan::left_out(const Frame& frame) const {
  std::vector<SignalValue> values;
  std::vector<LeftOut> missing;
  walk(frame, values, [&](const SignalPlan& plan, Omission why) { missing.push_back({&plan.signal(), why}); });
  return missing;
}

std::vector<MessagePlan> make_plans(const Database& database) {
  return {database.messages.begin(), database.messages.end()};
}

void append_members(std::string& out, const Decoding& decoding) {
  const std::size_t start = out.size();
  std::size_t most_bytes = 0;
  for (const SignalValue& value : decoding.values) most_bytes += value.plan->key().size() + kMaxScaledBytes + 1;
  out.resize(start + most_bytes);
  char* to = out.data() + start;
  for (const SignalValue& value : decoding.values) {
    const std::string& key = value.plan->key();
    to = std::copy(key.begin(), key.end(), to);
    to = value.plan->put_physical(to, value.raw);
    *to++ = ',';
  }
  if (!decoding.values.empty()) --to;
  out.resize(static_cast<std::size_t>(to - out.data()));
}

std::size_t MessageTable::Index::slot_of(std::uint32_t key) const {
  // Fibonacci hashing: identifiers differ in few and in any of their bits.
  const std::uint64_t hash = key * 0x9E3779B97F4A7C15U;
  std::size_t slot = static_cast<std::size_t>(hash >> 32U) & (slots_.size() - 1);
  while (slots_[slot].plan != nullptr && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

const MessagePlan* MessageTable::Index::find(std::uint32_t key) const { return slots_[slot_of(key)].plan; }

// The caller sets a plan where there is none.
const MessagePlan*& MessageTable::Index::operator[](std::uint32_t key) {
  if (Slot& known = slots_[slot_of(key)]; known.plan != nullptr) return known.plan;
  if (++used_ * 2 > slots_.size()) {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.plan != nullptr) slots_[slot_of(slot.key)] = slot;
    }
  }
  Slot& slot = slots_[slot_of(key)];
  slot.key = key;
  return slot.plan;
}

const MessagePlan* MessageTable::add(const MessagePlan& plan) {
  const Message& message = plan.message();
  if (!message.matchable) return nullptr;
  const MessagePlan*& known = by_id_[key_of(message.id, message.extended)];
  if (known != nullptr) return known;
  known = &plan;
  if (message.extended) {
    const MessagePlan*& of_group = by_pgn_[pgn_of(message.id)];
    if (of_group == nullptr) of_group = &plan;
  }
  return nullptr;
}

const MessagePlan* MessageTable::find(std::uint32_t id, bool extended) const {
  return by_id_.find(key_of(id, extended));
}

const MessagePlan* MessageTable::find(const Frame& frame) const {
  return is_data(frame) ? find(frame.id, frame.extended) : nullptr;
}

const MessagePlan* MessageTable::find_j1939(const Frame& frame) const {
  const MessagePlan* const plan = find(frame);
  if (plan != nullptr || !is_data(frame) || !frame.extended) return plan;
  return by_pgn_.find(pgn_of(frame.id));
}

}  // namespace fieldpipe::can
