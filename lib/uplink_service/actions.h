// SPDX-License-Identifier: MIT
// Actions on their way to applications, and what became of them (bytebeamio/uplink
// uplink/src/base/bridge/actions_lane.rs at v2.18.5; time limits as in releases 2.0 to 2.12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"
#include "json/reader.h"
#include "spool/spool.h"
#include "uplink/action.h"
#include "uplink/configuration.h"
#include "uplink_service/open_action.h"
#include "uplink_service/streams.h"

namespace fieldpipe::uplink_service {

// Each action has one record in the spool of statuses that is replaced when its state changes, in the same commit as
// the status that goes with the change. Where a power cut parts the two, the status is there: so a final status that
// is younger than the record of its action closes the action when the service starts.
//
// A turn is: receive(), answered(), expire(); save(); commit of the streams; saved(). What save() could not store is
// tried again in the next turn; an action that is not stored before it is acknowledged is failed instead.
class Actions {
 public:
  // How many actions may wait for one application. uplink's number, and the text of its answer to one more.
  static constexpr std::size_t kQueue = 16;

  // Reads what an earlier run left in `spool`, as far as the disk gives it back. All parameters outlive the object.
  // `boot` names this run of the system.
  static Actions recover(const uplink::Configuration& configuration, spool::Spool& spool, std::string boot,
                         MonotonicTime now);

  // The lane of the records.
  static constexpr std::string_view kLane = "actions";

  // Takes what the broker has sent. Fails with kBadData when it is no action, and then nothing goes up.
  Result<void> receive(std::string_view text, MonotonicTime now);

  // Whether a status of this action is late: its time was over, and the service has answered for it.
  [[nodiscard]] bool is_late(std::string_view action_id) const;

  // An application has said something of an action, perhaps its last word.
  void answered(std::string_view action_id, bool is_final);

  // The action that application `app` is to be given next; null where none waits. Valid until the next change.
  [[nodiscard]] const OpenAction* front(std::string_view app) const;

  // The system has all of it. That the application has it is believed, and stored, when it says something of it or a
  // moment has passed: a crash that takes the connection along with what was not yet read has it delivered once more.
  void delivered(std::uint64_t number, MonotonicTime now);

  // Ends the actions whose time is over.
  void expire(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> deadline() const;

  // Appends statuses that were made here and records that changed to the streams.
  [[nodiscard]] bool has_unsaved(MonotonicTime now) const;
  void save(Streams& streams, MonotonicTime now);

  // What was saved last is durable, or is not. Actions that are new and not durable have failed with `reason`.
  void saved(Streams& streams, const Result<void>& committed);

  // The end of a run in good order: all records are to be written anew, with what is left of their times.
  void touch();

  struct Counts {
    std::uint64_t received = 0;
    std::uint64_t delivered = 0;
    std::uint64_t expired = 0;
    std::uint64_t unrouted = 0;  // without a route, or with a queue that was full
    std::size_t waiting = 0;
    std::size_t open = 0;  // delivered and not answered
  };
  [[nodiscard]] Counts counts() const;

 private:
  Actions(const uplink::Configuration& configuration, spool::Spool& spool, std::string boot)
      : configuration_(configuration), spool_(spool), boot_(std::move(boot)) {}

  struct Target {
    std::string app;
    std::optional<std::chrono::seconds> timeout;
  };
  [[nodiscard]] std::optional<Target> route(const std::string& name) const;
  Result<Target> cancel_target(const uplink::Action& cancel);
  [[nodiscard]] const OpenAction* latest(std::string_view action_id) const;
  [[nodiscard]] std::size_t count(ActionState state, std::string_view app = {}) const;
  void recover_records(MonotonicTime now);
  void recover_answers();
  void change(OpenAction& action, ActionState state);
  void tell(const std::string& action_id, std::string_view state, std::uint8_t progress, std::string error = {});
  void forget_old();

  const uplink::Configuration& configuration_;
  spool::Spool& spool_;
  std::string boot_;
  json::Reader reader_;
  std::map<std::uint64_t, OpenAction> actions_;  // by number
  std::uint64_t last_number_ = 0;
  std::vector<std::string> statuses_;  // made here, not yet appended

  struct Appended {
    std::uint64_t number;
    spool::Sequence record;
  };
  std::vector<Appended> appended_;  // records, since the last saved()
  std::vector<std::string> appended_statuses_;
  Counts counts_;
};

}  // namespace fieldpipe::uplink_service
