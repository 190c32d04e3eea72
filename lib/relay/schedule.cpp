// SPDX-License-Identifier: MIT
#include "relay/schedule.h"

#include <algorithm>

namespace fieldpipe::relay {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
// Up to here the number of requests doubles after a pause; then all may go.
constexpr std::size_t kRampedUp = 4;

// So many devices that are limited within this time mean that the project is.
constexpr std::size_t kLimitedLanes = 3;
constexpr std::chrono::seconds kLimitedWithin{60};

// When a chunk that fails is the cause of it, provided that others came through.
constexpr unsigned kStuckFailures = 8;
constexpr std::chrono::hours kStuckFor{1};

// When refusals are the endpoint's fault and not the chunks'.
constexpr unsigned kMassRefusals = 20;
constexpr std::size_t kMassLanes = 3;
constexpr std::chrono::minutes kMassWithin{10};

constexpr std::size_t index(Verdict failure) { return static_cast<std::size_t>(failure); }

// FNV-1a. Written to files: it must give the same in every build.
std::uint64_t identity(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

// What tells lanes, keys and endpoints of one name apart.
constexpr char kLane = 'l';
constexpr char kKey = 'k';
constexpr char kEndpoint = 'e';

}  // namespace

// An endpoint, or a project key at one.
struct Schedule::Scope {
  std::string name;
  std::size_t lanes = 0;
  std::size_t in_flight = 0;
  std::size_t allowed = kAny;  // requests at a time
  std::deque<Lane*> waiting;   // for this scope to take more
  Failures failures{};
  std::optional<MonotonicTime> succeeded;  // last
  std::optional<MonotonicTime> until;      // it is paused
  MonotonicTime began{};                   // when that did
  Verdict waits_for = Verdict::kNetwork;

  // Of a key: lanes that were limited lately.
  std::deque<std::pair<MonotonicTime, std::string>> limited;

  // Of an endpoint.
  std::size_t largest_accepted_bytes = 0;
  std::size_t most_bytes = kAny;                  // larger requests were too large
  unsigned refusals = 0;                          // of single chunks, in a row
  std::map<std::string, MonotonicTime> refusing;  // lanes of these
  bool breaker = false;
};

Schedule::Schedule(Limits limits, std::function<double()> random) : limits_(limits), random_(std::move(random)) {}
Schedule::~Schedule() = default;

Schedule::Scope* Schedule::scope(std::string kind_and_name, MonotonicTime now) {
  std::unique_ptr<Scope>& place = scopes_[kind_and_name];
  if (place) return place.get();
  place = std::make_unique<Scope>();
  place->name = std::move(kind_and_name);
  if (const auto old = take_restored(place->name, now)) {
    place->failures[index(old->failure)] = old->failures;
    place->breaker = old->breaker;
    place->waits_for = old->failure;
    place->allowed = 1;
    if (old->remaining.count() > 0) pause(*place, old->failure, now + old->remaining, now);
  }
  return place.get();
}

std::optional<Pause> Schedule::take_restored(std::string_view kind_and_name, MonotonicTime now) {
  const auto found = restored_.find(identity(kind_and_name));
  if (found == restored_.end()) return std::nullopt;
  auto [until, pause] = found->second;
  restored_.erase(found);
  pause.remaining = std::max<std::chrono::nanoseconds>(until - now, {});
  return pause;
}

// A lane of the scope is gone. Keys come from outside, so those without lanes are not kept for ever.
void Schedule::leave(Scope& scope) {
  if (--scope.lanes == 0 && scope.name.front() == kKey && !scope.until) scopes_.erase(std::string(scope.name));
}

void Schedule::fill(std::string_view name, std::string_view endpoint, std::string_view key, MonotonicTime now) {
  if (knows(name)) return;
  Lane& lane = lanes_[std::string(name)];
  lane.name = name;
  lane.endpoint = scope(std::string(1, kEndpoint).append(endpoint), now);
  lane.key = scope(std::string(1, kKey).append(endpoint).append(1, '\0').append(key), now);
  ++lane.endpoint->lanes;
  ++lane.key->lanes;
  if (const auto old = take_restored(std::string(1, kLane).append(name), now)) {
    lane.failures[index(old->failure)] = old->failures;
    if (old->remaining.count() > 0) return pause(lane, old->failure, now + old->remaining);
  }
  ready_.push_back(&lane);
}

bool Schedule::admits(const Scope& scope) { return !scope.until && scope.in_flight < scope.allowed; }

// Lets lanes that wait for the scope try again, as many as it takes.
void Schedule::wake(Scope& scope) {
  if (!admits(scope)) return;
  const std::size_t count = std::min(scope.allowed - scope.in_flight, scope.waiting.size());
  for (std::size_t i = 0; i < count; ++i) {
    ready_.push_back(scope.waiting.front());
    scope.waiting.pop_front();
  }
}

void Schedule::end_pause(Scope& scope, std::size_t allowed) {
  scope.until.reset();
  scope.allowed = allowed;
  ++changes_;
  if (scope.lanes == 0 && scope.name.front() == kKey) {
    scopes_.erase(std::string(scope.name));
  } else {
    wake(scope);
  }
}

void Schedule::open_due(MonotonicTime now) {
  if (const auto first = deadline(); !first || *first > now) return;
  // Those that were there before the others are to go first.
  for (std::size_t count = ready_.size(); count > 0; --count) {
    Lane& lane = *ready_.front();
    ready_.pop_front();
    if (!park(lane)) ready_.push_back(&lane);
  }
  while (!paused_scopes_.empty() && paused_scopes_.begin()->first <= now) {
    Scope& scope = *paused_scopes_.begin()->second;
    paused_scopes_.erase(paused_scopes_.begin());
    end_pause(scope, 1);
  }
  while (!paused_lanes_.empty() && paused_lanes_.begin()->first <= now) {
    Lane& lane = *paused_lanes_.begin()->second;
    paused_lanes_.erase(paused_lanes_.begin());
    lane.until.reset();
    ++changes_;
    ready_.push_back(&lane);
  }
}

Schedule::Lane* Schedule::next(MonotonicTime now, std::size_t more) {
  open_due(now);
  while (in_flight_ < limits_.requests + more && !ready_.empty()) {
    Lane& lane = *ready_.front();
    ready_.pop_front();
    if (!park(lane)) return &lane;
  }
  return nullptr;
}

// Puts the lane behind others that wait for its endpoint or its key, if it has to.
bool Schedule::park(Lane& lane) {
  if (!admits(*lane.endpoint)) {
    lane.endpoint->waiting.push_back(&lane);
    return true;
  }
  if (admits(*lane.key)) return false;
  lane.key->waiting.push_back(&lane);
  wake(*lane.endpoint);  // what it does not use, another lane may
  return true;
}

std::size_t Schedule::most_chunks(const Lane& lane) const {
  std::size_t most = std::min(limits_.batch_chunks, lane.most_chunks);
  if (lane.suspects > 0) most = std::min(most, std::max<std::size_t>(1, lane.suspects / 2));
  // What failed is sent again as it was.
  return lane.again > 0 ? std::min(most, lane.again) : most;
}

std::size_t Schedule::most_bytes(const Lane& lane) const {
  return std::min(limits_.batch_bytes, lane.endpoint->most_bytes);
}

void Schedule::begin(Lane& lane, std::size_t chunks, std::size_t bytes, MonotonicTime now) {
  lane.in_flight = true;
  ++lane.attempt;
  lane.chunks = chunks;
  lane.bytes = bytes;
  lane.began = now;
  ++in_flight_;
  ++lane.endpoint->in_flight;
  ++lane.key->in_flight;
}

void Schedule::land(Lane& lane) {
  lane.in_flight = false;
  --in_flight_;
  --lane.endpoint->in_flight;
  --lane.key->in_flight;
}

void Schedule::forget(Lane& lane) {
  Scope& endpoint = *lane.endpoint;
  wake(*lane.key);
  leave(*lane.key);
  wake(endpoint);
  leave(endpoint);
  lanes_.erase(std::string(lane.name));
}

Action Schedule::settle(Lane& lane, const Outcome& outcome, MonotonicTime now) {
  event_ = {};
  land(lane);
  Action action = Action::kKeep;
  switch (outcome.verdict) {
    case Verdict::kDelivered:
      succeed(lane, now);
      action = Action::kFinish;
      break;
    case Verdict::kSize:
    case Verdict::kRecord: action = refuse(lane, outcome, now); break;
    default: action = fail(lane, outcome, now); break;
  }
  wake(*lane.key);
  wake(*lane.endpoint);
  if (!lane.until) ready_.push_back(&lane);
  return action;
}

// Takes the lane out of wherever it waits.
void Schedule::unlist(Lane& lane) {
  for (auto* queue : {&ready_, &lane.endpoint->waiting, &lane.key->waiting}) std::erase(*queue, &lane);
  if (lane.until) paused_lanes_.erase({*lane.until, &lane});
  lane.until.reset();
}

void Schedule::drop(Lane& lane) {
  unlist(lane);
  forget(lane);
}

Schedule::Lane* Schedule::find(std::string_view name) {
  const auto lane = lanes_.find(name);
  return lane == lanes_.end() ? nullptr : &lane->second;
}

void Schedule::hold(Lane& lane, MonotonicTime now) {
  const std::optional<MonotonicTime> until = lane.until;
  unlist(lane);
  const auto chosen = wait({}, Verdict::kServer, lane.failures[index(Verdict::kServer)]++);
  pause(lane, Verdict::kServer, std::max(now + chosen, until.value_or(now)));
  wake(*lane.key);
  wake(*lane.endpoint);
}

std::string_view Schedule::endpoint_of(const Lane& lane) { return std::string_view(lane.endpoint->name).substr(1); }

std::string_view Schedule::key_of(const Lane& lane) {
  const std::string_view name = lane.key->name;
  return name.substr(name.find('\0') + 1);
}

void Schedule::hurry(MonotonicTime now) {
  const auto paused_lanes = std::exchange(paused_lanes_, {});
  for (const auto& [until, lane] : paused_lanes) paused_lanes_.emplace(lane->until.emplace(now), lane);
  const auto paused_scopes = std::exchange(paused_scopes_, {});
  for (const auto& [until, scope] : paused_scopes) paused_scopes_.emplace(scope->until.emplace(now), scope);
}

std::optional<MonotonicTime> Schedule::deadline() const {
  std::optional<MonotonicTime> first;
  if (!paused_lanes_.empty()) first = paused_lanes_.begin()->first;
  if (!paused_scopes_.empty() && (!first || paused_scopes_.begin()->first < *first)) {
    first = paused_scopes_.begin()->first;
  }
  return first;
}

void Schedule::succeed(Lane& lane, MonotonicTime now) {
  lane.attempt = 0;
  lane.again = 0;
  lane.failures.fill(0);
  lane.failed.reset();
  lane.suspects -= std::min(lane.suspects, lane.chunks);
  if (lane.suspects == 0) lane.stuck = 0;
  for (Scope* scope : {lane.endpoint, lane.key}) {
    scope->succeeded = now;
    if (scope->until) {
      // It was on its way when another lane failed: that one alone is to wait. Not so where the server refused to be
      // asked at all: the answer may be older than the refusal.
      const bool disproved = scope->waits_for == Verdict::kNetwork || scope->waits_for == Verdict::kServer;
      if (!disproved || lane.began > scope->began) continue;
      paused_scopes_.erase({*scope->until, scope});
      scope->failures.fill(0);
      end_pause(*scope, 2);
      continue;
    }
    scope->failures.fill(0);
    if (scope->allowed == kAny) continue;
    scope->allowed = scope->allowed >= kRampedUp ? kAny : 2 * scope->allowed;
    ++changes_;
  }
  Scope& endpoint = *lane.endpoint;
  endpoint.largest_accepted_bytes = std::max(endpoint.largest_accepted_bytes, lane.bytes);
  endpoint.refusals = 0;
  endpoint.refusing.clear();
  endpoint.breaker = false;
}

Action Schedule::refuse(Lane& lane, const Outcome& outcome, MonotonicTime now) {
  lane.again = 0;
  if (lane.chunks == 1) return refuse_chunk(lane, now);
  Scope& endpoint = *lane.endpoint;
  if (outcome.verdict == Verdict::kSize) {
    endpoint.most_bytes = std::min(endpoint.most_bytes, std::max(endpoint.largest_accepted_bytes, lane.bytes / 2));
    // As large a request was accepted before: this one has too many parts.
    if (endpoint.most_bytes >= lane.bytes) lane.most_chunks = lane.chunks / 2;
    return Action::kKeep;
  }
  lane.suspects = lane.chunks;
  if (!endpoint.breaker) return Action::kKeep;
  const Action action = fail(lane, {.verdict = Verdict::kEndpoint}, now);
  lane.again = 0;
  return action;
}

Action Schedule::refuse_chunk(Lane& lane, MonotonicTime now) {
  Scope& endpoint = *lane.endpoint;
  lane.suspects = 0;
  ++endpoint.refusals;
  endpoint.refusing[lane.name] = now;
  if (!endpoint.breaker && trips(endpoint, now)) endpoint.breaker = true;
  if (!endpoint.breaker) {
    lane.attempt = 0;
    return Action::kDeadLetter;
  }
  lane.failed.reset();  // whatever other lanes had before: now this concerns all
  const Action action = fail(lane, {.verdict = Verdict::kEndpoint}, now);
  if (event_.what != Event::What::kNone) event_.what = Event::What::kBreaker;
  return action;
}

// Whether nothing but refusals comes from the endpoint.
bool Schedule::trips(Scope& endpoint, MonotonicTime now) const {
  std::erase_if(endpoint.refusing, [&](const auto& lane) { return now - lane.second > kMassWithin; });
  const auto gone = std::count_if(endpoint.refusing.begin(), endpoint.refusing.end(),
                                  [&](const auto& lane) { return !knows(lane.first); });
  const std::size_t active = endpoint.lanes + static_cast<std::size_t>(gone);
  return endpoint.refusals >= kMassRefusals || (active >= kMassLanes && endpoint.refusing.size() == active);
}

// Whether the first chunks of the lane are why it fails while others succeed. Where it is one of several, these are
// divided.
bool Schedule::is_cause(Lane& lane, MonotonicTime now) {
  if (lane.stuck++ == 0) lane.stuck_since = now;
  const std::optional<MonotonicTime>& succeeded = lane.endpoint->succeeded;
  return lane.stuck >= kStuckFailures && now - lane.stuck_since >= limits_.backoff.scaled(kStuckFor) && succeeded &&
         *succeeded > lane.stuck_since;
}

std::chrono::nanoseconds Schedule::wait(const Outcome& outcome, Verdict failure, unsigned failures) {
  const auto own = limits_.backoff.wait(failure, outcome.slow, failures, random_());
  const auto chosen = outcome.retry_after ? Backoff::told(*outcome.retry_after, own, random_()) : own;
  waited_ += chosen;
  return chosen;
}

Action Schedule::fail(Lane& lane, const Outcome& outcome, MonotonicTime now) {
  const std::size_t kind = index(outcome.verdict);
  lane.again = lane.chunks;
  if (outcome.stuck && is_cause(lane, now)) {
    lane.again = 0;
    lane.suspects = lane.chunks;
    if (lane.chunks == 1) {
      lane.suspects = 0;
      lane.stuck = 0;
      lane.attempt = 0;
      return Action::kDeadLetter;
    }
  }
  Scope* scope = outcome.verdict == Verdict::kCredential ? lane.key : lane.endpoint;
  const bool alone = lane.failed && scope->succeeded && *scope->succeeded > *lane.failed;
  lane.failed = now;
  const unsigned before = lane.failures[kind]++;
  if (outcome.verdict == Verdict::kRate || alone) {
    const auto chosen = wait(outcome, outcome.verdict, before);
    pause(lane, outcome.verdict, now + chosen);
    event_ = {Event::What::kLaneWaits, outcome.verdict, chosen};
    if (outcome.verdict == Verdict::kRate) limit_key(lane, chosen, now);
    return Action::kKeep;
  }
  if (scope->until) {  // since this request began; it fails for the same reason
    if (!outcome.retry_after) return Action::kKeep;
    const auto until = now + Backoff::told(*outcome.retry_after, {}, random_());
    if (until > *scope->until) pause(*scope, outcome.verdict, until, scope->began);
    return Action::kKeep;
  }
  const auto chosen = wait(outcome, outcome.verdict, scope->failures[kind]++);
  pause(*scope, outcome.verdict, now + chosen, now);
  event_ = {scope == lane.key ? Event::What::kKeyWaits : Event::What::kEndpointWaits, outcome.verdict, chosen};
  return Action::kKeep;
}

// A lane has to wait because it sends too much. Where several have to, all of the project do.
void Schedule::limit_key(const Lane& lane, std::chrono::nanoseconds chosen, MonotonicTime now) {
  Scope& key = *lane.key;
  std::erase_if(key.limited,
                [&](const auto& old) { return now - old.first > kLimitedWithin || old.second == lane.name; });
  key.limited.emplace_back(now, lane.name);
  if (key.limited.size() < kLimitedLanes) return;
  key.limited.clear();
  if (key.until && *key.until >= now + chosen) return;
  ++key.failures[index(Verdict::kRate)];
  pause(key, Verdict::kRate, now + chosen, now);
  event_ = {Event::What::kKeyWaits, Verdict::kRate, chosen};
}

void Schedule::pause(Lane& lane, Verdict failure, MonotonicTime until) {
  lane.until = until;
  lane.waits_for = failure;
  paused_lanes_.emplace(until, &lane);
  ++changes_;
}

void Schedule::pause(Scope& scope, Verdict failure, MonotonicTime until, MonotonicTime began) {
  if (scope.until) paused_scopes_.erase({*scope.until, &scope});
  scope.until = until;
  scope.began = began;
  scope.waits_for = failure;
  paused_scopes_.emplace(until, &scope);
  ++changes_;
}

std::array<std::size_t, 8> Schedule::waiting() const {
  std::array<std::size_t, 8> counts{};
  const auto holds = [](const Scope& scope) { return scope.until || scope.failures[index(scope.waits_for)] > 0; };
  for (const auto& [name, lane] : lanes_) {
    if (lane.in_flight) continue;
    if (lane.until) {
      ++counts[index(lane.waits_for)];
    } else if (holds(*lane.key)) {
      ++counts[index(lane.key->waits_for)];
    } else if (holds(*lane.endpoint)) {
      ++counts[index(lane.endpoint->waits_for)];
    } else if (lane.failures[index(lane.waits_for)] > 0) {
      ++counts[index(lane.waits_for)];
    }
  }
  return counts;
}

bool Schedule::denied() const {
  const auto refused = [](const auto& failures) { return failures[index(Verdict::kCredential)] > 0; };
  return std::any_of(scopes_.begin(), scopes_.end(), [&](const auto& s) { return refused(s.second->failures); }) ||
         std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& l) { return refused(l.second.failures); });
}

std::vector<Pause> Schedule::pauses(MonotonicTime now) const {
  std::vector<Pause> pauses;
  for (const auto& [until, lane] : paused_lanes_) {
    pauses.push_back({identity(std::string(1, kLane) + lane->name), lane->waits_for,
                      lane->failures[index(lane->waits_for)], false, until - now});
  }
  for (const auto& [name, scope] : scopes_) {
    if (scope->allowed == kAny && !scope->until) continue;
    pauses.push_back({identity(name), scope->waits_for, scope->failures[index(scope->waits_for)], scope->breaker,
                      scope->until ? *scope->until - now : std::chrono::nanoseconds(0)});
  }
  for (const auto& [id, restored] : restored_) {
    if (restored.first <= now) continue;
    pauses.push_back(restored.second);
    pauses.back().remaining = restored.first - now;
  }
  return pauses;
}

void Schedule::restore(const std::vector<Pause>& pauses, MonotonicTime now) {
  for (const Pause& pause : pauses) {
    restored_[pause.id] = {now + std::clamp<std::chrono::nanoseconds>(pause.remaining, {}, kLongestPause), pause};
  }
}

}  // namespace fieldpipe::relay
