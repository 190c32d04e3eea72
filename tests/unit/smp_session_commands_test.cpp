// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smp_session/commands.h"
#include "smp_vectors.h"

namespace fieldpipe::smp_session {
namespace {

// The packet that a command sends, with this sequence number.
std::string packet(const std::vector<std::string>& words, std::uint8_t sequence, const CommandOptions& options = {}) {
  const auto command = parse_command(words, options);
  REQUIRE(command);
  REQUIRE(command->plan);
  const Request& request = command->plan->request;
  std::string out;
  smp::append_packet(
      out,
      {.op = request.command.op, .group = request.command.group, .sequence = sequence, .command = request.command.id},
      as_bytes(request.payload));
  return to_hex(as_bytes(out));
}

TEST_CASE("requests equal the recorded ones") {
  CommandOptions force;
  force.force = true;
  CommandOptions slot;
  slot.slot = 0;
  CommandOptions boot_mode;
  boot_mode.boot_mode = 1;
  const std::vector<std::tuple<std::string, std::vector<std::string>, CommandOptions>> cases{
      {"os-echo.req", {"echo", "hello"}, {}},
      {"os-echo-utf8.req", {"echo", "na\xc3\xafve \xce\xa9\xc2\xb5 \xe6\xb8\xa9\xe5\xba\xa6"}, {}},
      {"os-taskstat.req", {"tasks"}, {}},
      {"os-mpstat-unsupported.req", {"pools"}, {}},
      {"os-datetime.req", {"datetime"}, {}},
      {"os-datetime-set.req", {"datetime", "set", "2026-08-01T12:34:56"}, {}},
      {"os-reset.req", {"reset"}, {}},
      {"os-reset-force.req", {"reset"}, force},
      {"os-reset-boot-mode.req", {"reset"}, boot_mode},
      {"os-params.req", {"params"}, {}},
      {"img-state.req", {"image", "state"}, {}},
      {"img-set-test.req", {"image", "test", "f3a3210b8f68e945f0c1c7ed1ad10cd3aa6f63617a0eada429b14f56c8a04c2e"}, {}},
      {"img-set-permanent-slot1.req",
       {"image", "confirm", "1baa222074cc805faf4e09846d2377886b1e5ef7cfccd9eac1554d82d9aa9d5a"},
       {}},
      {"img-confirm-running.req", {"image", "confirm"}, {}},
      {"img-erase.req", {"image", "erase"}, {}},
      {"img-erase-active.req", {"image", "erase"}, slot},
      {"img-slot-info.req", {"image", "slots"}, {}},
      {"stat-list.req", {"stat", "list"}, {}},
      {"stat-read.req", {"stat", "read", "smp_svr_stats"}, {}},
      {"settings-read-unknown-root.req", {"settings", "read", "test/x"}, {}},
      {"settings-write.req", {"settings", "write", "app/interval", "hex:2c010000"}, {}},
      {"settings-delete-unknown.req", {"settings", "delete", "test/x"}, {}},
      {"settings-commit.req", {"settings", "commit"}, {}},
      {"settings-load.req", {"settings", "load"}, {}},
      {"settings-save-unsupported.req", {"settings", "save"}, {}},
      {"fs-status.req", {"fs", "status", "/lfs1/a.txt"}, {}},
      {"fs-hash-default.req", {"fs", "hash", "/lfs1/a.txt"}, {}},
      {"fs-hash-sha256.req", {"fs", "hash", "/lfs1/a.txt", "sha256"}, {}},
      {"fs-hash-types.req", {"fs", "types"}, {}},
      {"fs-close.req", {"fs", "close"}, {}},
      {"shell-exec.req", {"shell", "kernel", "version"}, {}},
      {"zephyr-erase-storage.req", {"storage", "erase"}, {}},
      {"memfault-device-info.req", {"memfault", "info"}, {}},
      {"memfault-project-key.req", {"memfault", "key"}, {}},
      {"unknown-group.req", {"raw", "77", "0", "read"}, {}},
      {"fs-hash-crc32-range.req",
       {"raw", "fs", "2", "read", R"({"name":"/lfs1/a.txt","type":"crc32","off":1,"len":2})"},
       {}},
      {"settings-write.req", {"raw", "3", "0", "write", R"({"name":"app/interval","val":{"$bytes":"2c010000"}})"}, {}},
  };
  const auto vectors = smp::read_vectors("packets.jsonl");
  for (const auto& [name, words, options] : cases) {
    CAPTURE(name);
    bool found = false;
    for (const auto& vector : vectors) {
      if (vector["name"] != name) continue;
      found = true;
      CHECK(packet(words, vector["header"]["seq"].get<std::uint8_t>(), options) == vector["hex"].get<std::string>());
    }
    CHECK(found);
  }
}

TEST_CASE("what may be repeated") {
  const auto repeatable = [](const std::vector<std::string>& words) {
    const Request request = parse_command(words, {}).value().plan->request;
    return request.repeatable || request.command.op == smp::Op::kRead;
  };
  CHECK(repeatable({"echo", "x"}));
  CHECK(repeatable({"image", "confirm"}));
  CHECK(repeatable({"image", "erase"}));
  CHECK_FALSE(repeatable({"reset"}));
  CHECK_FALSE(repeatable({"shell", "reboot"}));
  CHECK_FALSE(repeatable({"settings", "write", "a", "b"}));
  CHECK_FALSE(repeatable({"storage", "erase"}));
  CHECK_FALSE(repeatable({"raw", "1", "5", "write"}));
}

TEST_CASE("the longest name wins, and what is near is offered") {
  CHECK(parse_command(std::vector<std::string>{"memfault", "key"}, {}).value().name == "memfault key");
  CHECK(parse_command(std::vector<std::string>{"datetime", "set"}, {}).value().name == "datetime set");
  CHECK(parse_command(std::vector<std::string>{"image", "sate"}, {}).error().hint == "did you mean image state?");
  CHECK(parse_command(std::vector<std::string>{}, {}).error().what == "no command");
  CHECK(parse_command(std::vector<std::string>{"memfault", "keys"}, {}).error().what ==
        "memfault: unexpected operand 'keys'");
}

}  // namespace
}  // namespace fieldpipe::smp_session
