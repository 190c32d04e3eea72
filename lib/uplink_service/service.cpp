// SPDX-License-Identifier: MIT
#include "uplink_service/service.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "io/file.h"
#include "spool/metrics.h"
#include "uplink/action.h"
#include "uplink/stored.h"

namespace fieldpipe::uplink_service {
namespace {

// A spool without room is tried again after a delivery, and in any case after this time: others may have freed space.
constexpr std::chrono::seconds kRetry{1};

// While the broker is busy with what it has, lines are taken in larger groups: each costs a sync of the disk, for which
// everything waits.
constexpr std::chrono::milliseconds kGroup{5};

constexpr std::chrono::seconds kFiguresPause{15};

// Names this run of the system, which is how long its monotonic clock goes on (random(4)).
std::string boot_id() {
  auto text = io::read_file("/proc/sys/kernel/random/boot_id", 64);
  return text ? std::string(trimmed(*text)) : std::string();
}

}  // namespace

Service::Service(const Settings& settings, spool::Spool& data, spool::Spool& statuses, std::vector<Port> ports,
                 cli::Report& report)
    : settings_(settings),
      data_(data),
      statuses_(statuses),
      ports_(std::move(ports)),
      report_(report),
      actions_(Actions::recover(settings.configuration, statuses, boot_id(), monotonic_now())),
      streams_(settings.configuration, settings.device, data, statuses, settings.on_full),
      link_(settings.connection, uplink::expand_topic(settings.configuration.actions_subscription, settings.device),
            report),
      refusals_(report),
      manager_(io::ServiceManager::from_environment()),
      started_(wall_now()) {
  if (!settings_.metrics_path.empty()) next_figures_ = monotonic_now();
}

Result<void> Service::run(io::Loop& loop) {
  const std::uint64_t found = data_.statistics().queued;
  if (found > 0) report_.say(fmt::format("{} points of an earlier run are queued", found));
  manager_.ready();
  Result<void> ran;
  while (ran && !(stopping_ && (!link_.connected() || streams_.idle()))) ran = turn(loop);
  // The end of the stop time limit is an end like any other: what is durable stays, the rest is told below.
  if (stopping_ && !ran && ran.error().code == ErrorCode::kUnavailable) ran = {};
  auto finished = finish(loop);
  return ran ? finished : ran;
}

Result<void> Service::turn(io::Loop& loop) {
  MonotonicTime now = monotonic_now();
  if (auto handled = link_.handle(loop); !handled) return handled;
  take_from_broker(now);
  // So that the broker has something to do while lines are taken and synced. What would acknowledge an action waits.
  if (!actions_.has_unsaved(now)) {
    publish();
    link_.write();
  }
  const std::uint64_t lines = lines_;
  for (Port& port : ports_) {
    if (auto handled = port.handle(loop, is_reading(now)); !handled) report_.warn(handled.error().what);
    take_lines(port, now);
  }
  now = monotonic_now();
  actions_.expire(now);
  commit(now);
  deliver(now);
  streams_.flush(now, stopping_);
  publish();
  link_.write();
  if (lines_ != lines && link_.connected() && !link_.has_room()) reads_again_ = now + kGroup;
  if (disk_failed_ && streams_.idle() && data_.statistics().queued == 0) {
    return tl::make_unexpected(Error(*disk_failed_).in("spool"));
  }
  refusals_.tell(now, false);
  tell_figures(now, loop.take_report_request());
  return wait(loop);
}

bool Service::is_reading(MonotonicTime now) const {
  return !blocked_until_ && !disk_failed_ && !stopping_ && now >= reads_again_;
}

void Service::take_from_broker(MonotonicTime now) {
  for (const std::string& text : link_.take_received()) {
    if (auto received = actions_.receive(text, now); !received) {
      refusals_.add("action", "broker", received.error().what, now);
    }
  }
  for (const Link::Settled& settled : link_.take_settled()) {
    streams_.finish(settled.ticket, settled.delivered ? spool::Outcome::kDelivered : spool::Outcome::kDropped);
    blocked_until_.reset();
  }
  // Behind what was settled before the connection was given up.
  if (auto tickets = link_.take_restarted(); !tickets.empty()) streams_.requeue(std::move(tickets));
  streams_.settle();
  if (blocked_until_ && *blocked_until_ <= now) blocked_until_.reset();
}

void Service::take_lines(Port& port, MonotonicTime now) {
  for (Connection* connection : port.connections()) {
    while (connection != nullptr && !blocked_until_ && !disk_failed_) {
      const auto line = connection->next_line();
      if (!line) break;
      if (take_line(*connection, *line, port.name(), now)) {
        ++lines_;
      } else {
        connection->unread();
        blocked_until_ = now + kRetry;
      }
    }
  }
}

// Whether the line was taken, if only to be refused; otherwise it has to wait.
bool Service::take_line(Connection& connection, const Connection::Line& line, const std::string& where,
                        MonotonicTime now) {
  if (line.too_long) {
    refusals_.add("too long", where,
                  fmt::format("more than {}: {}...", print_size(uplink::kMaxLineBytes), printable(line.text, 40)), now);
    return true;
  }
  Result<void> taken = uplink::parse_payload(reader_, line.text, payload_, line.readable_bytes);
  if (taken) {
    if (payload_.stream == uplink::kStoredStream) {
      ++checkpoints_;
      connection.promise(payload_.sequence);
    } else if (payload_.stream == uplink::kResponseStream) {
      taken = take_status(line.text, where, now);
    } else {
      taken = streams_.append(payload_);
    }
  }
  if (taken) return true;
  if (taken.error().code == ErrorCode::kBadData) {
    refuse(taken.error(), where, now);
    return true;
  }
  if (taken.error().code == ErrorCode::kIo) disk_failed_ = taken.error();
  return false;
}

Result<void> Service::take_status(std::string_view line, const std::string& where, MonotonicTime now) {
  const auto response = uplink::parse_response(reader_, line);
  text_.clear();
  if (response) {
    if (actions_.is_late(response->action_id)) {
      ++late_statuses_;
      return {};
    }
    uplink::append_response_point(text_, *response);
  } else if (settings_.configuration.check_action_status) {
    refusals_.add("action status", where, response.error().what, now);
    return {};
  } else {
    // parse_response has used the reader, and with it what the payload points to.
    if (auto parsed = uplink::parse_payload(reader_, line, payload_); !parsed) return parsed;
    uplink::append_point(text_, payload_);
  }
  if (auto appended = streams_.append_status(text_); !appended) return appended;
  if (response) actions_.answered(response->action_id, response->is_final());
  return {};
}

void Service::refuse(const Error& error, const std::string& where, MonotonicTime now) {
  const bool is_stream = error.what.starts_with("stream ");
  const std::string at = error.offset ? fmt::format(" (byte {})", *error.offset) : std::string();
  refusals_.add(is_stream ? "stream" : "no point", where, error.what + at, now);
}

void Service::commit(MonotonicTime now) {
  if (actions_.has_unsaved(now)) actions_.save(streams_, now);
  const Streams::Committed spools = streams_.commit(now);
  actions_.saved(streams_, spools.statuses);
  const Result<void>& committed = spools.all();
  if (!committed) {
    if (committed.error().code == ErrorCode::kIo) {
      if (!disk_failed_) report_.warn(fmt::format("spool: {}; no more lines are taken", committed.error().what));
      disk_failed_ = committed.error();
    }
    blocked_until_ = now + kRetry;
  }
  for (Port& port : ports_) {
    for (Connection* connection : port.connections()) {
      if (connection == nullptr) continue;
      if (committed) {
        connection->accept();
      } else {
        connection->rewind();
      }
    }
    for (std::size_t lines = port.clear(); lines > 0; --lines) {
      refusals_.add("unfinished", port.name(), "the client went, or had to go, within a line", now);
    }
  }
}

// Gives waiting actions to the clients that can take them.
void Service::deliver(MonotonicTime now) {
  for (Port& port : ports_) {
    Connection* const client = port.client();
    while (client != nullptr) {
      if (const auto sent = client->take_sent()) {
        actions_.delivered(*sent, now);
      }
      const OpenAction* const action = actions_.front(port.name());
      if (action == nullptr || action->record == 0 || client->busy() || client->wants_to_send() || client->ended()) {
        break;
      }
      text_.clear();
      uplink::append_action_line(text_, action->action);
      client->send_action(text_, action->number);
    }
  }
}

void Service::publish() {
  while (link_.has_room()) {
    auto ticket = streams_.next(stopping_);
    if (!ticket) refusals_.add("disk", "spool", ticket.error().what, monotonic_now());
    if (!ticket || !*ticket) return;
    link_.publish(**std::move(ticket));
  }
}

Result<void> Service::wait(io::Loop& loop) {
  const MonotonicTime now = monotonic_now();
  const bool reading = is_reading(now);
  MonotonicTime wake = std::min(link_.deadline(), manager_.next());
  if (now < reads_again_) wake = std::min(wake, reads_again_);
  for (const auto& time : {streams_.flush_at(), actions_.deadline(), blocked_until_, next_figures_}) {
    if (time) wake = std::min(wake, *time);
  }
  link_.watch(loop);
  for (const Port& port : ports_) {
    port.watch(loop, reading);
    if (port.deadline()) wake = std::min(wake, *port.deadline());
  }
  auto waited = loop.wait(wake);
  manager_.alive();
  if (loop.stop_signal() && !std::exchange(stopping_, true)) {
    manager_.stopping();
    for (Port& port : ports_) port.close();
  }
  return waited;
}

Result<void> Service::finish(io::Loop& loop) {
  const MonotonicTime now = monotonic_now();
  streams_.flush(now, true);
  actions_.touch();
  commit(now);
  if (auto synced = data_.sync(); !synced) report_.warn(fmt::format("spool: {}", synced.error().what));
  if (auto synced = statuses_.sync(); !synced) report_.warn(fmt::format("spool: {}", synced.error().what));
  refusals_.tell(now, true);
  if (const std::uint64_t lost = streams_.counts().in_memory; lost > 0) {
    report_.warn(fmt::format("{} points of streams in memory were not delivered", lost));
  }
  if (next_figures_) tell_figures(*next_figures_, false);
  return link_.disconnect(loop);
}

void Service::tell_figures(MonotonicTime now, bool asked) {
  const bool due = next_figures_ && *next_figures_ <= now;
  if (!due && !asked) return;
  const Metrics figures = metrics();
  if (asked) report_.statistics(figures.print_json());
  const std::uint64_t queued = data_.statistics().queued;
  manager_.status(fmt::format("{}, {} points queued", link_.connected() ? "connected" : "not connected", queued));
  if (settings_.metrics_path.empty()) return;
  if (due) next_figures_ = now + kFiguresPause;
  if (auto written = io::replace_file(settings_.metrics_path, figures.print("uplink_serve_"), 0644, io::Durable::kNo);
      !written) {
    refusals_.add("figures", settings_.metrics_path, written.error().what, now);
  }
}

Metrics Service::metrics() {
  Metrics metrics;
  spool::add_metrics(metrics, data_);
  const Streams::Counts streams = streams_.counts();
  metrics.counter("lines_total", "lines taken from applications", lines_);
  metrics.counters("refused_total", "lines, actions and files refused", "reason", refusals_.samples());
  metrics.counter("points_total", "points accepted since the start", streams.accepted);
  metrics.counter("points_delivered_total", "points delivered since the start", streams.delivered);
  metrics.counter("messages_total", "messages delivered since the start", streams.messages);
  metrics.gauge("messages_in_flight", "messages without acknowledgement", static_cast<double>(link_.under_way()));
  metrics.gauge("memory_points", "points that wait in memory only", static_cast<double>(streams.in_memory));
  metrics.counter("memory_dropped_total", "points dropped from there", streams.dropped);
  metrics.counter("dropped_delivered_total", "points of dropped_total that were under way and arrived all the same",
                  streams.dropped_delivered);
  metrics.gauge("streams", "streams there are", static_cast<double>(streams.streams));
  metrics.counter("checkpoints_total", "checkpoints of applications", checkpoints_);
  const Actions::Counts actions = actions_.counts();
  metrics.counter("actions_total", "actions received", actions.received);
  metrics.counter("actions_delivered_total", "actions given to their application", actions.delivered);
  metrics.counter("actions_expired_total", "actions whose time was over", actions.expired);
  metrics.counter("actions_unrouted_total", "actions failed for want of a route or of room", actions.unrouted);
  metrics.gauge("actions_waiting", "actions that wait for their application", static_cast<double>(actions.waiting));
  metrics.gauge("actions_open", "actions an application works on", static_cast<double>(actions.open));
  metrics.counter("late_statuses_total", "statuses of actions whose time was over", late_statuses_);
  metrics.gauge("status_queued", "statuses and records of actions in their spool",
                static_cast<double>(statuses_.statistics().queued + statuses_.statistics().in_flight));
  Metrics::Samples clients;
  Metrics::Samples replaced;
  for (const Port& port : ports_) {
    clients.emplace_back(port.name(), static_cast<double>(port.clients()));
    replaced.emplace_back(port.name(), static_cast<double>(port.replaced()));
  }
  metrics.counters("clients_total", "clients that came", "app", std::move(clients));
  metrics.counters("replaced_total", "clients that another one ended", "app", std::move(replaced));
  metrics.counter("mqtt_connects_total", "connections to the broker", link_.connects());
  metrics.gauge("mqtt_connected", "1 while there is one", link_.connected() ? 1 : 0);
  metrics.counter("mqtt_refused_total", "messages the connection does not take", link_.refused());
  metrics.gauge("start_time_seconds", "when the service was started",
                std::chrono::duration<double>(started_.time_since_epoch()).count());
  return metrics;
}

}  // namespace fieldpipe::uplink_service
