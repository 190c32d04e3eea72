// SPDX-License-Identifier: MIT
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "scratch.h"
#include "uplink_service/actions.h"

using namespace fieldpipe;
using namespace fieldpipe::uplink_service;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr MonotonicTime kNow{seconds(1000)};

struct Folder : Scratch {
  [[nodiscard]] spool::Spool spool(const std::string& name) const {
    spool::Options options;
    options.directory = *this / name;
    options.min_free_bytes = 0;
    options.fsync = spool::Fsync::kOff;  // no power is cut here
    options.segment_bytes = 4096;
    options.acknowledgement_bytes = 4096;
    options.max_bytes = 1 << 20;
    auto spool = spool::Spool::open(options);
    REQUIRE(spool);
    return *std::move(spool);
  }
};

uplink::Configuration configured() {
  auto configuration = uplink::parse_configuration(
      "[tcpapps.main]\nport = 5050\nactions = [{ name = \"slow\" }, { name = \"quick\", timeout = 5 }]\n"
      "[tcpapps.other]\nport = 6060\nactions = [{ name = \"else\" }]\n");
  REQUIRE(configuration);
  return *std::move(configuration);
}

// A service's run, as far as actions see it.
struct Run {
  Run(const uplink::Configuration& configuration, const Folder& folder, std::string boot = "boot",
      MonotonicTime now = kNow)
      : data(folder.spool("data")),
        statuses(folder.spool("statuses")),
        actions(Actions::recover(configuration, statuses, std::move(boot), now)),
        streams(configuration, device, data, statuses, spool::OnFull::kBlock) {}

  void receive(std::string_view id, std::string_view name, std::string_view payload = "", MonotonicTime now = kNow) {
    REQUIRE(actions.receive(fmt::format(R"({{"action_id":"{}","name":"{}","payload":"{}"}})", id, name, payload), now));
    commit(now);
  }
  void commit(MonotonicTime now = kNow) {
    actions.save(streams, now);
    actions.saved(streams, streams.commit(now).statuses);
  }
  // id, state and error of what goes up.
  std::vector<std::string> told() {
    std::vector<std::string> texts;
    json::Reader reader;
    for (;;) {
      const auto ticket = streams.next();
      REQUIRE(ticket);
      if (!*ticket) return texts;
      std::string line = (*ticket)->message.payload.substr(1);
      line.pop_back();
      line.insert(1, R"("stream":"action_status",)");
      const auto response = uplink::parse_response(reader, line);
      REQUIRE(response);
      texts.push_back(fmt::format("{} {}{}{}", response->action_id, response->state,
                                  response->errors.empty() ? "" : ": ",
                                  response->errors.empty() ? "" : response->errors[0]));
      streams.finish(**ticket, spool::Outcome::kDelivered);
      streams.settle();
    }
  }
  std::string front(std::string_view app) const {
    const OpenAction* const action = actions.front(app);
    return action == nullptr ? "nothing" : action->action.id;
  }
  void deliver(std::string_view app) {
    REQUIRE(actions.front(app) != nullptr);
    actions.delivered(actions.front(app)->number, kNow - seconds(1));
    commit();
  }

  uplink::Device device{"demo", "1", "localhost", 1883, {}};
  spool::Spool data;
  spool::Spool statuses;
  Actions actions;
  Streams streams;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("actions are routed by name, or fail") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  run.receive("1", "slow");
  run.receive("2", "else");
  run.receive("3", "nowhere");
  CHECK(run.front("main") == "1");
  CHECK(run.front("other") == "2");
  CHECK(run.told() == Texts{"1 Received", "2 Received", "3 Received",
                            "3 Failed: Uplink isn't configured to handle actions of type nowhere"});
  CHECK_FALSE(run.actions.receive("[]", kNow));
  CHECK_FALSE(run.actions.has_unsaved(kNow));
}

TEST_CASE("sixteen wait for an application, and one more fails") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  for (int i = 1; i <= 17; ++i) run.receive(std::to_string(i), "slow");
  run.receive("18", "else");
  CHECK(run.actions.counts().waiting == 17);
  CHECK(run.told().at(17) == "17 Failed: Could not forward action to collector: sending on a full channel");
  run.deliver("main");
  CHECK(run.front("main") == "2");
  run.receive("19", "slow");
  CHECK(run.actions.counts().waiting == 17);
}

TEST_CASE("a time limit ends an action, and what comes later is late") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  run.receive("1", "quick");
  run.receive("2", "quick");
  run.deliver("main");
  CHECK(run.actions.deadline() == kNow + seconds(5));
  run.actions.expire(kNow + milliseconds(4999));
  CHECK_FALSE(run.actions.is_late("1"));
  run.actions.answered("2", true);
  run.actions.expire(kNow + seconds(5));
  run.commit();
  CHECK(run.actions.is_late("1"));
  CHECK_FALSE(run.actions.is_late("2"));
  CHECK_FALSE(run.actions.is_late("never seen"));
  CHECK(run.front("main") == "nothing");
  CHECK(run.told() == Texts{"1 Received", "2 Received", "1 Failed: Action timedout"});
  run.receive("1", "quick");  // the backend tries again
  CHECK_FALSE(run.actions.is_late("1"));
}

TEST_CASE("an action leaves the queue after its age") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  run.receive("1", "slow");
  CHECK(run.actions.deadline() == kNow + configuration.action_queue_age);
  run.actions.expire(kNow + configuration.action_queue_age);
  run.commit();
  CHECK(run.told() == Texts{"1 Received", "1 Failed: Action waited 1d for its application"});
  CHECK_FALSE(run.actions.is_late("1"));
}

TEST_CASE("a cancel goes where its target went") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  run.receive("1", "else");
  run.deliver("other");
  run.actions.answered("1", true);
  run.receive("2", "cancel_action", R"({\"action_id\":\"1\",\"name\":\"else\"})");
  run.receive("3", "cancel_action", R"({\"action_id\":\"9\",\"name\":\"else\"})");
  run.receive("4", "cancel_action", R"({\"action_id\":\"1\"})");
  CHECK(run.front("other") == "2");
  CHECK(run.told() == Texts{"1 Received", "2 Received", "3 Received",
                            "3 Failed: Cancellation request received for action currently not in execution!",
                            "4 Received", R"(4 Failed: Invalid cancel action payload: "{\"action_id\":\"1\"}")"});
  for (int i = 10; i < 10 + 32; ++i) {
    run.receive(std::to_string(i), "else");
    run.deliver("other");
  }
  run.receive("5", "cancel_action", R"({\"action_id\":\"1\",\"name\":\"else\"})");
  CHECK(run.told().back() == "5 Failed: Cancellation request received for action currently not in execution!");
}

TEST_CASE("what was open is open after a restart, with the time that is left") {
  Folder folder;
  const auto configuration = configured();
  {
    Run run(configuration, folder);
    run.receive("1", "quick");
    run.deliver("main");
    run.receive("2", "slow", "text");
    run.receive("3", "quick");
    run.actions.answered("3", true);
    run.commit();
  }
  SUBCASE("of the service") {
    Run run(configuration, folder, "boot", kNow + seconds(2));
    CHECK(run.front("main") == "2");
    CHECK(run.actions.front("main")->action.payload == "text");
    CHECK(run.actions.counts().waiting == 1);
    CHECK(run.actions.counts().open == 1);
    CHECK(run.actions.deadline() == kNow + seconds(5));
    run.actions.expire(kNow + seconds(5));
    run.commit();
    CHECK(run.told().back() == "1 Failed: Action timedout");
  }
  SUBCASE("of the system, whose clock begins anew") {
    Run run(configuration, folder, "another boot", MonotonicTime(seconds(7)));
    CHECK(run.actions.deadline() == MonotonicTime(seconds(12)));
  }
  SUBCASE("and numbers go on") {
    Run run(configuration, folder);
    run.receive("4", "slow");
    run.deliver("main");
    CHECK(run.front("main") == "4");
  }
}

TEST_CASE("an answer that is stored closes its action, though the record of that was lost") {
  Folder folder;
  const auto configuration = configured();
  {
    Run run(configuration, folder);
    run.receive("1", "quick");
    run.deliver("main");
    // The application's answer, and a power cut before the record of the action.
    REQUIRE(run.streams.append_status(
        R"({"sequence":1,"timestamp":1,"action_id":"1","state":"Completed","progress":100,"errors":[]})"));
    REQUIRE(run.streams.commit(kNow).all());
  }
  Run run(configuration, folder);
  CHECK(run.actions.counts().open == 0);
  run.actions.expire(kNow + seconds(60));
  run.commit();
  CHECK(run.told() == Texts{"1 Received", "1 Completed"});
}

TEST_CASE("an action that was handed over in the moment of a crash is handed over again") {
  Folder folder;
  const auto configuration = configured();
  for (const bool answered : {false, true}) {
    {
      Run run(configuration, folder);
      if (!answered) run.receive("1", "slow");
      REQUIRE(run.front("main") == "1");
      run.actions.delivered(run.actions.front("main")->number, kNow);
      CHECK(run.front("main") == "nothing");
      if (answered) run.actions.answered("1", false);
      CHECK(run.actions.has_unsaved(kNow) == answered);
      CHECK(run.actions.has_unsaved(kNow + seconds(1)));
      run.commit();
    }
    Run run(configuration, folder);
    CHECK(run.front("main") == (answered ? "nothing" : "1"));
  }
}

TEST_CASE("an older answer does not close an action with the same id") {
  Folder folder;
  const auto configuration = configured();
  {
    Run run(configuration, folder);
    REQUIRE(run.streams.append_status(
        R"({"sequence":1,"timestamp":1,"action_id":"1","state":"Completed","progress":100,"errors":[]})"));
    REQUIRE(run.streams.commit(kNow).all());
    run.receive("1", "slow");
  }
  Run run(configuration, folder);
  CHECK(run.front("main") == "1");
}

TEST_CASE("an action that cannot be stored fails, and what goes up waits in memory") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  REQUIRE(run.actions.receive(R"({"action_id":"1","name":"slow","payload":""})", kNow));
  run.actions.save(run.streams, kNow);
  REQUIRE(run.streams.commit(kNow).all());
  run.told();
  run.actions.saved(run.streams, fail(ErrorCode::kIo, "no disk"));
  CHECK(run.front("main") == "nothing");
  run.commit();
  CHECK(run.told() == Texts{"1 Received", "1 Failed: The action could not be stored: no disk"});
}

TEST_CASE("a spool of data that cannot be written fails no action") {
  Folder folder;
  const auto configuration = configured();
  Run run(configuration, folder);
  REQUIRE(run.data.append("one", as_bytes(std::string(3000, 'x'))));
  REQUIRE(run.actions.receive(R"({"action_id":"1","name":"slow","payload":""})", kNow));
  run.actions.save(run.streams, kNow);
  // No file takes anything behind its first 1000 bytes.
  const auto signalled = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit low{1000, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  const Streams::Committed committed = run.streams.commit(kNow);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, signalled);
  CHECK_FALSE(committed.points);
  CHECK_FALSE(committed.all());
  REQUIRE(committed.statuses);
  run.actions.saved(run.streams, committed.statuses);
  CHECK(run.front("main") == "1");
  CHECK_FALSE(run.actions.has_unsaved(kNow));
}

TEST_CASE("a stream in memory is one although the spool holds points of others") {
  Folder folder;
  const auto configuration = uplink::parse_configuration("[streams.quick.persistence]\nmax_file_count = 0\n");
  REQUIRE(configuration);
  {
    auto data = folder.spool("data");
    for (int i = 0; i < 20; ++i) REQUIRE(data.append(fmt::format("lane {}", i), as_bytes("{}")));
    REQUIRE(data.commit());
  }
  Run run(*configuration, folder);
  uplink::Payload point;
  point.stream = "quick";
  REQUIRE(run.streams.append(point));
  REQUIRE(run.streams.commit(kNow).all());
  CHECK(run.data.statistics().accepted == 20);
}

TEST_CASE("what was under way from memory is handed over again, in its order and before what came later") {
  Folder folder;
  const auto configuration =
      uplink::parse_configuration("[streams.quick]\nbatch_size = 1\npersistence = { max_file_count = 0 }\n");
  REQUIRE(configuration);
  Run run(*configuration, folder);
  const auto add = [&](std::uint32_t sequence) {
    uplink::Payload point;
    point.stream = "quick";
    point.sequence = sequence;
    REQUIRE(run.streams.append(point));
    REQUIRE(run.streams.commit(kNow).all());
  };
  const auto next = [&] {
    auto ticket = run.streams.next();
    REQUIRE(ticket);
    REQUIRE(*ticket);
    return **std::move(ticket);
  };
  for (const std::uint32_t sequence : {1, 2, 3}) add(sequence);
  std::vector<Ticket> under_way;
  under_way.push_back(next());
  under_way.push_back(next());
  add(4);
  run.streams.requeue(std::move(under_way));
  CHECK(run.streams.counts().in_memory == 4);
  for (int sequence = 1; sequence <= 4; ++sequence) {
    const Ticket ticket = next();
    CHECK(ticket.message.payload == fmt::format(R"([{{"sequence":{},"timestamp":0}}])", sequence));
    run.streams.finish(ticket, spool::Outcome::kDelivered);
  }
  CHECK(run.streams.idle());
  CHECK(run.streams.counts().delivered == 4);
  CHECK(run.streams.counts().dropped == 0);
}

TEST_CASE("records of actions read back, and others are none") {
  json::Reader reader;
  OpenAction action;
  action.number = 7;
  action.action = {"id \"x\"", "name", "{\"a\":1}\n"};
  action.app = "main";
  action.times_out = kNow + seconds(5);
  action.leaves_queue = kNow + seconds(50);
  std::string record;
  append_record(record, action, {"boot", kNow});
  for (std::size_t size = 0; size < record.size(); ++size) {
    CHECK_FALSE(parse_record(reader, std::string_view(record).substr(0, size), {"boot", kNow}));
  }
  const auto read = parse_record(reader, record, {"boot", kNow + seconds(1)});
  REQUIRE(read);
  CHECK(read->number == 7);
  CHECK(read->action.id == action.action.id);
  CHECK(read->action.payload == action.action.payload);
  CHECK(read->app == "main");
  CHECK(read->times_out == action.times_out);
  CHECK(read->leaves_queue == action.leaves_queue);
  // A clock that has gone back does not lengthen a time.
  CHECK(parse_record(reader, record, {"boot", kNow - seconds(100)})->times_out == kNow - seconds(95));
  for (const std::string_view bad :
       {"{}", R"({"number":1})", R"({"number":1,"state":"other"})", R"({"number":0,"state":"closed"})",
        R"({"number":1,"state":"closed","times_out":[1,2,3]})", "[]"}) {
    CHECK_FALSE(parse_record(reader, bad, {"boot", kNow}));
  }
}
