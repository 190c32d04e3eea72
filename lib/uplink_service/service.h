// SPDX-License-Identifier: MIT
// What uplink-serve does: applications on one side, a broker on the other, spools between them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/report.h"
#include "core/clock.h"
#include "core/metrics.h"
#include "core/result.h"
#include "io/loop.h"
#include "io/service_manager.h"
#include "json/reader.h"
#include "mqtt/message.h"
#include "spool/spool.h"
#include "uplink/configuration.h"
#include "uplink_service/actions.h"
#include "uplink_service/link.h"
#include "uplink_service/port.h"
#include "uplink_service/refusals.h"
#include "uplink_service/streams.h"

namespace fieldpipe::uplink_service {

struct Settings {
  uplink::Configuration configuration;
  uplink::Device device;
  mqtt::Connection connection;
  spool::OnFull on_full = spool::OnFull::kBlock;
  std::string metrics_path;  // empty: no file
};

// Keeps the order: a line is in the spool before its sender is told so and before it goes out; an action is in the
// spool before the broker is told so and before its application sees it.
class Service {
 public:
  // All parameters outlive the service. `data` is for points, `statuses` for what concerns actions.
  Service(const Settings& settings, spool::Spool& data, spool::Spool& statuses, std::vector<Port> ports,
          cli::Report& report);

  // Runs until a stop signal comes, and delivers what is in memory then, as long as the broker is there and the loop's
  // stop time limit allows. Fails with kIo when the disk takes nothing any more and all it holds is delivered, and
  // with kUsage and kNoInput where the connection can never be made.
  Result<void> run(io::Loop& loop);

 private:
  Result<void> turn(io::Loop& loop);
  [[nodiscard]] bool is_reading(MonotonicTime now) const;
  void take_from_broker(MonotonicTime now);
  void take_lines(Port& port, MonotonicTime now);
  bool take_line(Connection& connection, const Connection::Line& line, const std::string& where, MonotonicTime now);
  Result<void> take_status(std::string_view line, const std::string& where, MonotonicTime now);
  void refuse(const Error& error, const std::string& where, MonotonicTime now);
  void commit(MonotonicTime now);
  void deliver(MonotonicTime now);
  void publish();
  Result<void> wait(io::Loop& loop);
  Result<void> finish(io::Loop& loop);
  void tell_figures(MonotonicTime now, bool asked);
  [[nodiscard]] Metrics metrics();

  const Settings& settings_;
  spool::Spool& data_;
  spool::Spool& statuses_;
  std::vector<Port> ports_;
  cli::Report& report_;
  Actions actions_;  // before the streams, which count what it leaves in the spool
  Streams streams_;
  Link link_;
  Refusals refusals_;
  io::ServiceManager manager_;
  json::Reader reader_;
  uplink::Payload payload_;
  std::string text_;
  WallTime started_;

  bool stopping_ = false;
  std::optional<MonotonicTime> blocked_until_;  // the spool has no room: no lines are taken
  std::optional<Error> disk_failed_;            // it never will
  MonotonicTime reads_again_{};
  std::optional<MonotonicTime> next_figures_;
  std::uint64_t lines_ = 0;
  std::uint64_t late_statuses_ = 0;
  std::uint64_t checkpoints_ = 0;
};

}  // namespace fieldpipe::uplink_service
