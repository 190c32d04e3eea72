// SPDX-License-Identifier: MIT
#include "relay/uploader.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/bytes.h"
#include "core/text.h"
#include "io/clock_watch.h"
#include "io/file.h"
#include "json/writer.h"
#include "memfault/identity.h"
#include "memfault/retry_after.h"
#include "relay/lane.h"
#include "relay/notice.h"
#include "relay/pauses.h"

namespace fieldpipe::relay {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t kShownBytes = 256;  // of an answer's text
constexpr seconds kBetweenSyncs{1};       // of what is finished, and of the file of pauses
constexpr seconds kBetweenHints{30};
constexpr seconds kSlow{1};  // a request that others shall not wait for
// Reads that fail in a row before the record is given up. The disk may have had a bad moment.
constexpr unsigned kMostReadFailures = 8;

std::uint64_t random_seed() {
  std::random_device source;
  return (std::uint64_t{source()} << 32U) | source();
}

// A request on its way.
struct Flight {
  Schedule::Lane* lane = nullptr;
  spool::Sequence first = 0;
  spool::Sequence last = 0;
  WallTime accepted;  // the first chunk
  unsigned attempt = 0;
  std::string body;       // of the request
  std::size_t bytes = 0;  // of chunks
};

}  // namespace

struct Uploader::State {
  State(spool::Spool& spool_, spool::DeadLetters& dead_letters_, http::Client& client_, UploadSettings settings_,
        std::string& out_, cli::Report& report_)
      : spool(spool_),
        dead_letters(dead_letters_),
        client(client_),
        settings(with_slots(std::move(settings_), client_)),
        out(out_),
        report(report_),
        random(settings.seed ? *settings.seed : random_seed()),
        schedule(settings.limits, [this] { return std::uniform_real_distribution<>()(random); }),
        flights(client.free_slots()),
        pauses_file(spool.directory() + "/pauses") {
    const MonotonicTime now = monotonic_now();
    if (!settings.dry_run) {
      opens = now + std::chrono::duration_cast<nanoseconds>(std::uniform_real_distribution<>()(random) *
                                                            settings.startup_splay);
    }
    if (const auto text = io::read_file(pauses_file, kMostPausesBytes)) {
      schedule.restore(parse_pauses(*text, wall_now()), now);
    }
  }

  static UploadSettings with_slots(UploadSettings settings, const http::Client& client) {
    settings.limits.requests = std::min(settings.limits.requests, client.free_slots());
    return settings;
  }

  void fill(const std::string& name, MonotonicTime now);
  void fill_again(const std::string& name, MonotonicTime now);
  [[nodiscard]] std::string key_of(const Lane& lane) const;
  void hurry(MonotonicTime now);
  void start(Schedule::Lane& lane, MonotonicTime now);
  std::vector<spool::Message> read(Schedule::Lane& lane, MonotonicTime now);
  void print_request(const std::string& url, std::string_view content_type, const Flight& flight, std::size_t chunks);
  void settle(const http::Answer& answer, MonotonicTime now);
  void print_answer(const http::Answer& answer, const Flight& flight);
  void set_aside(const http::Answer& answer, const Flight& flight, MonotonicTime now);
  void tell(const http::Answer& answer, const Outcome& outcome, const Schedule::Lane& lane, MonotonicTime now);
  [[nodiscard]] std::uint64_t dead_count() const;
  void keep(MonotonicTime now, bool at_once);
  std::array<std::byte, 16> random_bytes();
  [[nodiscard]] std::size_t spare(MonotonicTime now) const;
  [[nodiscard]] MonotonicTime next_slow(MonotonicTime now) const;

  spool::Spool& spool;
  spool::DeadLetters& dead_letters;
  http::Client& client;
  UploadSettings settings;
  std::string& out;
  cli::Report& report;
  std::mt19937_64 random;
  Schedule schedule;
  std::vector<std::unique_ptr<Flight>> flights;  // by slot of the client
  std::string pauses_file;
  MonotonicTime began = monotonic_now();
  io::ClockWatch clock;
  MonotonicTime opens{};  // nothing is sent before
  bool stopped = false;
  bool more_to_print = false;  // of a dry run

  std::map<std::string, unsigned> read_failures;  // in a row, by lane
  bool finished = false;                          // something is, since the last sync
  MonotonicTime synced{};
  std::uint64_t kept_changes = 0;
  MonotonicTime kept{};
  MonotonicTime hurried = MonotonicTime::min();

  std::array<Notice, 8> notices{};  // by verdict
  Notice local_failures;
  Notice without_key;
  std::optional<MonotonicTime> outage;  // since then nothing was delivered
  bool outage_told = false;
  Notice outages;

  // For statistics.
  std::array<std::uint64_t, 8> verdicts{};
  std::map<int, std::uint64_t> statuses;
  std::map<std::string, std::uint64_t> dead;  // by reason
  std::uint64_t delivered = 0;
  std::uint64_t delivered_bytes = 0;
  std::uint64_t repeated = 0;
};

namespace {

Outcome outcome_of(const http::Answer& answer) {
  Outcome outcome;
  const std::string content_type = answer.field("Content-Type");
  outcome.verdict = memfault::judge({answer.status, answer.complete_header, content_type, answer.body});
  outcome.slow = answer.complete_header && answer.status == 500;
  const bool interrupted = !answer.complete_header && answer.sent;
  outcome.stuck = outcome.slow || interrupted;
  if (outcome.verdict == Verdict::kServer || outcome.verdict == Verdict::kRate) {
    outcome.retry_after = memfault::parse_retry_after(answer.field("Retry-After"), answer.field("Date"), wall_now());
  }
  return outcome;
}

std::string describe(const http::Answer& answer) {
  return answer.complete_header ? fmt::format("status {}", answer.status) : answer.error;
}

}  // namespace

std::array<std::byte, 16> Uploader::State::random_bytes() {
  std::array<std::byte, 16> bytes{};
  store_le(random(), bytes.data());
  store_le(random(), bytes.data() + 8);
  return bytes;
}

// How many requests more than the limit there may be: one for each that is slow, as far as the client has connections
// for them. Else a slow server for some devices would hold back the others.
std::size_t Uploader::State::spare(MonotonicTime now) const {
  const auto slow = std::count_if(flights.begin(), flights.end(), [&](const std::unique_ptr<Flight>& flight) {
    return flight && now - flight->lane->began >= kSlow;
  });
  return std::min(static_cast<std::size_t>(slow), flights.size() - settings.limits.requests);
}

// When spare() grows because of the time.
MonotonicTime Uploader::State::next_slow(MonotonicTime now) const {
  MonotonicTime first = MonotonicTime::max();
  if (schedule.in_flight() < settings.limits.requests || schedule.in_flight() == flights.size()) return first;
  for (const std::unique_ptr<Flight>& flight : flights) {
    if (flight && now - flight->lane->began < kSlow) first = std::min(first, flight->lane->began + kSlow);
  }
  return first;
}

void Uploader::State::fill(const std::string& name, MonotonicTime now) {
  if (schedule.knows(name)) return;
  const auto parts = parse_lane(name);
  // What is in the folder may be from anyone, and this ends up in a URL.
  if (!parts || !memfault::check_device(parts->device)) {
    if (local_failures.due(now)) {
      report.warn(fmt::format("{}: a lane that is not of this program: its records stay", spool.directory()));
    }
    return;
  }
  const std::string key = key_of(*parts);
  if (!memfault::check_project_key(key)) {
    if (without_key.due(now)) {
      report.warn(fmt::format("{}: no project key for this device: its chunks wait ({} of these)", parts->device,
                              without_key.count()));
    }
    return;
  }
  std::string_view endpoint = parts->endpoint.empty() ? std::string_view(settings.endpoint) : parts->endpoint;
  if (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  schedule.fill(name, endpoint, key, now);
}

std::string Uploader::State::key_of(const Lane& lane) const {
  if (!lane.project_key.empty() || !settings.project_key) return std::string(lane.project_key);
  return settings.project_key(lane.device);
}

// The lane has another key than it was given: none of what was learned about it counts. Not while it is on its way.
void Uploader::State::fill_again(const std::string& name, MonotonicTime now) {
  if (Schedule::Lane* lane = schedule.find(name)) {
    const auto parts = parse_lane(name);
    if (lane->in_flight || key_of(*parts) == Schedule::key_of(*lane)) return;
    schedule.drop(*lane);
  }
  fill(name, now);
}

void Uploader::State::hurry(MonotonicTime now) {
  if (hurried != MonotonicTime::min() && now - hurried < kBetweenHints) return;
  hurried = now;
  schedule.hurry(now);
}

// What the lane's next request holds. Nothing where there is nothing, and the lane then is forgotten, or cannot be read
// now, and it then waits.
std::vector<spool::Message> Uploader::State::read(Schedule::Lane& lane, MonotonicTime now) {
  auto messages = spool.next(lane.name, schedule.most_chunks(lane), schedule.most_bytes(lane));
  if (messages && !messages->empty()) {
    if (!read_failures.empty()) read_failures.erase(lane.name);
    return std::move(*messages);
  }
  if (messages) {
    schedule.forget(lane);
    return {};
  }
  if (local_failures.due(now)) report.warn(fmt::format("{}: {}", spool.directory(), messages.error().what));
  // Without a descriptor to be had the record may be as good as any.
  const bool may_pass = messages.error().code == ErrorCode::kUnavailable;
  if (!may_pass && ++read_failures[lane.name] >= kMostReadFailures) {
    if (const auto held = spool.find_lane(lane.name)) {
      spool.finish(lane.name, held->first, held->first, spool::Outcome::kDamaged);
    }
    read_failures.erase(lane.name);
  }
  schedule.hold(lane, now);
  return {};
}

// Sends the next request of the lane, if it has one.
void Uploader::State::start(Schedule::Lane& lane, MonotonicTime now) {
  std::vector<spool::Message> messages = read(lane, now);
  if (messages.empty()) return;
  auto flight = std::make_unique<Flight>();
  flight->lane = &lane;
  flight->attempt = lane.attempt + 1;
  flight->first = messages.front().sequence;
  flight->last = messages.back().sequence;
  flight->accepted = messages.front().time;
  for (const spool::Message& message : messages) flight->bytes += message.payload.size();
  std::string content_type{memfault::kChunkContentType};
  if (messages.size() == 1) {
    flight->body = std::move(messages.front().payload);
  } else {
    std::vector<Bytes> chunks;
    chunks.reserve(messages.size());
    for (const spool::Message& message : messages) chunks.push_back(as_bytes(message.payload));
    std::string boundary;
    do {
      boundary = memfault::multipart_boundary(random_bytes());
    } while (!memfault::append_multipart(flight->body, boundary, chunks));
    content_type = memfault::multipart_content_type(boundary);
  }
  const std::string url = memfault::chunk_url(Schedule::endpoint_of(lane), parse_lane(lane.name)->device);
  if (settings.dry_run) {
    print_request(url, content_type, *flight, messages.size());
    spool.finish(lane.name, flight->first, flight->last);
    schedule.again(lane);
    return;
  }
  std::string request_id;
  append_hex(request_id, random_bytes());
  const std::array headers{http::Header{memfault::kProjectKeyHeader, Schedule::key_of(lane)},
                           http::Header{"Content-Type", content_type}, http::Header{"X-Request-ID", request_id}};
  http::Request request;
  request.url = url;
  request.headers = headers;
  request.body = as_bytes(flight->body);
  const auto slot = client.start(request);
  if (!slot) {
    if (local_failures.due(now)) report.warn(fmt::format("{}: {}", printable(url), slot.error().what));
    spool.rewind(lane.name);
    schedule.hold(lane, now);
    return;
  }
  schedule.begin(lane, messages.size(), flight->bytes, now);
  flights[*slot] = std::move(flight);
}

void Uploader::State::print_request(const std::string& url, std::string_view content_type, const Flight& flight,
                                    std::size_t chunks) {
  out.append("{\"method\":\"POST\",\"url\":");
  json::append_string(out, url);
  out.append(",\"content_type\":");
  json::append_string(out, content_type);
  fmt::format_to(std::back_inserter(out), ",\"content_length\":{},\"device\":", flight.body.size());
  json::append_string(out, parse_lane(flight.lane->name)->device);
  fmt::format_to(std::back_inserter(out), ",\"chunks\":{},\"bytes\":{}}}\n", chunks, flight.bytes);
}

void Uploader::State::settle(const http::Answer& answer, MonotonicTime now) {
  const std::unique_ptr<Flight> flight = std::move(flights[answer.slot]);
  if (!flight) return;
  Schedule::Lane& lane = *flight->lane;
  const Outcome outcome = outcome_of(answer);
  ++verdicts[static_cast<std::size_t>(outcome.verdict)];
  if (answer.complete_header) ++statuses[answer.status];
  if (outcome.stuck && !outcome.slow) repeated += lane.chunks;
  print_answer(answer, *flight);
  switch (schedule.settle(lane, outcome, now)) {
    case Action::kFinish:
      delivered += spool.finish(lane.name, flight->first, flight->last);
      delivered_bytes += flight->bytes;
      finished = true;
      if (outage) {
        if (outage_told) {
          report.warn(fmt::format("{}: chunks are delivered again after {}", Schedule::endpoint_of(lane),
                                  print_duration(std::chrono::ceil<seconds>(now - *outage))));
        }
        outage.reset();
      }
      break;
    case Action::kDeadLetter: set_aside(answer, *flight, now); break;
    case Action::kKeep: spool.rewind(lane.name); break;
  }
  if (outcome.verdict != Verdict::kDelivered) tell(answer, outcome, lane, now);
  if (outcome.verdict == Verdict::kCredential) fill_again(std::string(lane.name), now);
}

void Uploader::State::print_answer(const http::Answer& answer, const Flight& flight) {
  const Schedule::Lane& lane = *flight.lane;
  const std::string_view device = parse_lane(lane.name)->device;
  out.append("{\"device\":");
  json::append_string(out, device);
  fmt::format_to(std::back_inserter(out), ",\"chunks\":{},\"bytes\":{},\"status\":", lane.chunks, lane.bytes);
  if (answer.complete_header) {
    json::append_integer(out, answer.status);
  } else {
    out.append("null");
  }
  fmt::format_to(std::back_inserter(out), ",\"attempt\":{},\"seconds\":{:.6f}", lane.attempt,
                 duration<double>(answer.elapsed).count());
  if (!answer.complete_header) {
    out.append(",\"error\":");
    json::append_string(out, answer.error);
  }
  out.append("}\n");
  if (report.verbose() && !answer.body.empty()) {
    report.say(fmt::format("{}: {}: {}", device, describe(answer), printable(answer.body, kShownBytes)));
  }
}

// The one chunk of the request is why it was refused.
void Uploader::State::set_aside(const http::Answer& answer, const Flight& flight, MonotonicTime now) {
  const Schedule::Lane& lane = *flight.lane;
  const std::string reason = answer.status == 413                                 ? "too-large"
                             : answer.complete_header && answer.status / 100 != 5 ? "refused"
                                                                                  : "no-progress";
  spool::DeadLetter letter;
  letter.sequence = flight.first;
  letter.time = flight.accepted;
  letter.reason = reason;
  letter.detail =
      fmt::format("{}, attempt {}, at {:.3f} s since 1970 and {:.3f} s of running", describe(answer), flight.attempt,
                  duration<double>(wall_now().time_since_epoch()).count(), duration<double>(now - began).count());
  if (!answer.body.empty()) letter.detail.append(": ").append(printable(answer.body, kShownBytes));
  letter.payload_bytes = flight.body.size();
  letter.payload = flight.body;
  if (const auto taken = dead_letters.take(lane.name, letter, spool); !taken) {
    if (local_failures.due(now)) report.warn(fmt::format("{}/dead: {}", spool.directory(), taken.error().what));
    spool.rewind(lane.name);
    schedule.hold(*flight.lane, now);
    return;
  }
  ++dead[reason];
  finished = true;
  Notice& notice = notices[static_cast<std::size_t>(Verdict::kRecord)];
  if (!notice.due(now)) return;
  report.warn(fmt::format("{}: a chunk is set aside ({}: {}), {} so far", parse_lane(lane.name)->device, reason,
                          describe(answer), dead_count()));
}

std::uint64_t Uploader::State::dead_count() const {
  std::uint64_t count = 0;
  for (const auto& [reason, chunks] : dead) count += chunks;
  return count;
}

// Says who has to wait now, and why: at once, then once a minute where somebody has to do something about it.
void Uploader::State::tell(const http::Answer& answer, const Outcome& outcome, const Schedule::Lane& lane,
                           MonotonicTime now) {
  using What = Schedule::Event::What;
  const Schedule::Event& event = schedule.last_event();
  if (event.what == What::kNone) return;
  const std::string wait = print_duration(std::chrono::ceil<std::chrono::milliseconds>(event.wait));
  const std::string_view endpoint = Schedule::endpoint_of(lane);
  const std::string_view device = parse_lane(lane.name)->device;
  Notice& notice = notices[static_cast<std::size_t>(event.what == What::kBreaker ? Verdict::kSize : outcome.verdict)];
  if (event.what == What::kLaneWaits) {
    report.say(fmt::format("{}: {}: next attempt in {}", device, describe(answer), wait));
  } else if (event.what == What::kBreaker) {
    if (notice.due(now)) {
      report.warn(
          fmt::format("{}: refuses chunk after chunk ({}), so these are not the cause: they are kept, next "
                      "attempt in {} ({} of these)",
                      endpoint, describe(answer), wait, notice.count()));
    }
  } else if (outcome.verdict == Verdict::kCredential) {
    if (notice.due(now)) {
      report.warn(
          fmt::format("{}: the project key of {} is refused ({}): all chunks are kept, next attempt in {} ({} "
                      "of these)",
                      endpoint, device, describe(answer), wait, notice.count()));
    }
  } else if (outcome.verdict == Verdict::kEndpoint) {
    if (notice.due(now)) {
      report.warn(
          fmt::format("{}: this is no chunk endpoint ({}): all chunks are kept, next attempt in {} ({} of "
                      "these)",
                      endpoint, describe(answer), wait, notice.count()));
    }
  } else if (!outage) {
    outage = now;
    outage_told = outages.due(now);
    if (!outage_told) return;
    const bool web_page = answer.complete_header && answer.status / 100 == 2;
    report.warn(fmt::format("{}: {}{}: all chunks are kept, next attempt in {} ({} of these)", endpoint,
                            describe(answer), web_page ? ", but not from a chunk endpoint" : "", wait,
                            outages.count()));
  }
}

// Makes durable what changed, so that a crash repeats little and a restart waits as it should.
void Uploader::State::keep(MonotonicTime now, bool at_once) {
  if (finished && (at_once || now - synced >= kBetweenSyncs)) {
    finished = false;
    synced = now;
    (void)spool.sync();  // what is not durable is sent again at worst
  }
  if (schedule.changes() != kept_changes && (at_once || now - kept >= kBetweenSyncs)) {
    kept_changes = schedule.changes();
    kept = now;
    const std::string text = print_pauses(schedule.pauses(now), wall_now());
    if (const auto replaced = io::replace_file(pauses_file, text, 0600, io::Durable::kYes);
        !replaced && local_failures.due(now)) {
      report.warn(replaced.error().what);
    }
  }
}

Uploader::Uploader(spool::Spool& spool, spool::DeadLetters& dead_letters, http::Client& client, UploadSettings settings,
                   std::string& out, cli::Report& report)
    : state_(std::make_unique<State>(spool, dead_letters, client, std::move(settings), out, report)) {}

Uploader::~Uploader() {
  for (const auto& flight : state_->flights) {
    if (flight) state_->spool.rewind(flight->lane->name);
  }
  state_->keep(monotonic_now(), true);
}

void Uploader::watch(io::Loop& loop) const {
  state_->client.watch(loop);
  state_->clock.watch(loop);
}

MonotonicTime Uploader::deadline() const {
  const State& state = *state_;
  if (state.more_to_print && state.out.size() < kMostUnreadBytes) return MonotonicTime{};
  MonotonicTime first = state.client.deadline();
  const MonotonicTime now = monotonic_now();
  if (!state.stopped && now < state.opens) {
    first = std::min(first, state.opens);
  } else if (!state.stopped && state.out.size() < kMostUnreadBytes) {
    first = std::min({first, state.schedule.deadline().value_or(first), state.next_slow(now)});
  }
  if (state.finished) first = std::min(first, state.synced + kBetweenSyncs);
  if (state.schedule.changes() != state.kept_changes) first = std::min(first, state.kept + kBetweenSyncs);
  return first;
}

void Uploader::turn(const io::Loop& loop) {
  State& state = *state_;
  state.client.handle(loop);
  MonotonicTime now = monotonic_now();
  for (const http::Answer& answer : state.client.answers()) state.settle(answer, now);
  state.client.answers().clear();
  if (state.clock.turn(loop)) state.hurry(now);
  for (const std::string& name : state.spool.take_filled()) state.fill(name, now);
  state.more_to_print = false;
  while (!state.stopped && now >= state.opens) {
    if (state.out.size() >= kMostUnreadBytes) {
      state.more_to_print = state.settings.dry_run;
      break;
    }
    Schedule::Lane* lane = state.schedule.next(now, state.spare(now));
    if (lane == nullptr) break;
    state.start(*lane, now);
  }
  state.keep(now, false);
}

void Uploader::stop() { state_->stopped = true; }

bool Uploader::idle() const { return state_->schedule.in_flight() == 0 && !state_->more_to_print; }

void Uploader::hurry() {
  const MonotonicTime now = monotonic_now();
  for (const spool::LaneSummary& lane : state_->spool.lanes()) state_->fill_again(std::string(lane.lane), now);
  state_->opens = now;
  state_->hurry(now);
}

Drain Uploader::drain() const {
  const spool::Statistics statistics = state_->spool.statistics();
  return {statistics.queued + statistics.in_flight, state_->dead_count(), state_->schedule.denied()};
}

void Uploader::add_metrics(Metrics& metrics) const {
  const State& state = *state_;
  const auto by_verdict = [](const auto& counts) {
    Metrics::Samples samples;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      samples.emplace_back(print(static_cast<Verdict>(i)), static_cast<double>(counts[i]));
    }
    return samples;
  };
  Metrics::Samples statuses;
  for (const auto& [status, count] : state.statuses) {
    statuses.emplace_back(fmt::format("{}", status), static_cast<double>(count));
  }
  Metrics::Samples dead;
  for (const auto& [reason, count] : state.dead) dead.emplace_back(reason, static_cast<double>(count));
  Metrics::Samples waiting;
  const auto counts = state.schedule.waiting();
  for (const Verdict verdict : kFailures) {
    waiting.emplace_back(print(verdict), static_cast<double>(counts[static_cast<std::size_t>(verdict)]));
  }
  metrics.counters("requests_total", "requests that ended, by what the answer means", "class",
                   by_verdict(state.verdicts));
  metrics.counters("http_status_total", "answers by their status", "code", std::move(statuses));
  metrics.counter("sent_chunks_total", "chunks delivered by this process", state.delivered);
  metrics.counter("sent_bytes_total", "bytes of chunks delivered by this process", state.delivered_bytes);
  metrics.counter("duplicates_possible_total", "chunks in requests that broke off, which may have arrived",
                  state.repeated);
  metrics.counters("dead_letter_total", "chunks set aside by this process, by reason", "reason", std::move(dead));
  metrics.gauge("retry_wait_seconds", "sum of the waits after failures",
                duration<double>(state.schedule.waited()).count());
  metrics.gauges("paused_lanes", "lanes that wait after a failure", "class", std::move(waiting));
  metrics.gauge("requests_in_flight", "requests on their way", static_cast<double>(state.schedule.in_flight()));
  metrics.counter("clock_steps_total", "how often the clock was set", state.clock.steps());
  metrics.counter("connections_total", "connections made to the endpoint", state.client.connections());
}

}  // namespace fieldpipe::relay
