// SPDX-License-Identifier: MIT
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "core/bytes.h"
#include "digest/digest.h"
#include "smp/error.h"
#include "smp/fs.h"
#include "smp/image.h"
#include "smp/os.h"
#include "smp/settings.h"
#include "smp_device/device.h"
#include "smp_vectors.h"

namespace fieldpipe::smp_device {
namespace {

using smp::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonotonicTime kStart{};

// The device of the Memfault vectors, whose answers those are.
Profile make_profile() {
  Profile profile;
  profile.serial = "404CCA453500";
  profile.hardware_version = "dvt";
  profile.software_type = "app";
  profile.current_version = "1.2.3";
  profile.project_key = "0123456789abcdef0123456789ABCDEF";
  profile.image = make_image({});
  profile.buffer_bytes = 384;
  return profile;
}

// A file of `bytes` with an image of this version.
std::string make_file(const smp::ImageVersion& version, std::size_t bytes) {
  std::string file = make_image(version);
  const std::size_t more = bytes - file.size();
  constexpr std::size_t kTlvBytes = 40;
  file.resize(file.size() - kTlvBytes);
  file.append(more, '\x5a');
  store_le(static_cast<std::uint32_t>(64 + more), reinterpret_cast<std::byte*>(&file[12]));
  const std::string hash = digest::digest(digest::Algorithm::kSha256, as_bytes(file));
  return file + from_hex("0769280010002000") + hash;
}

std::string hash_of(const std::string& file) { return file.substr(file.size() - 32); }

struct Bench {
  explicit Bench(Profile profile) : device(std::move(profile), kStart) {}

  std::vector<std::string> ask(const std::string& request) {
    std::vector<std::string> answers;
    device.advance(now);
    device.receive(as_bytes(request), now, answers);
    return answers;
  }
  void wait(std::chrono::nanoseconds time) {
    now += time;
    device.advance(now);
  }

  MonotonicTime now = kStart;
  Device device;
};

struct Exchange {
  std::string name;
  std::string source;
  std::string request;
  std::string response;
};

std::vector<Exchange> read_exchanges() {
  const auto vectors = smp::read_vectors("packets.jsonl");
  std::map<std::string, std::string> responses;
  for (const Json& vector : vectors) {
    if (vector["transport"] == "packet" && vector["role"] == "response") {
      responses[vector["name"].get<std::string>()] = vector["hex"].get<std::string>();
    }
  }
  std::vector<Exchange> exchanges;
  for (const Json& vector : vectors) {
    if (vector["transport"] != "packet" || vector["role"] != "request" || !vector.contains("pair")) continue;
    const auto name = vector["name"].get<std::string>();
    const auto found = responses.find(vector["pair"].get<std::string>());
    if (found == responses.end()) continue;
    exchanges.push_back({name.substr(0, name.rfind('.')), vector["source"].get<std::string>(),
                         vector["hex"].get<std::string>(), found->second});
  }
  return exchanges;
}

bool replace_all(std::string& text, const std::string& from, const std::string& to) {
  bool found = false;
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
    found = true;
  }
  return found;
}

TEST_CASE("answers of the recorded server with a console") {
  // What that build lacked, and this device has.
  Profile profile = make_profile();
  for (const auto id : std::to_array<std::uint8_t>({3, 4, 8})) profile.missing.push_back({smp::Group::kOs, id});
  profile.missing.push_back({smp::Group::kImage, std::nullopt});
  profile.missing.push_back({smp::Group::kMemfault, std::nullopt});
  Profile small = profile;
  small.buffer_bytes = 96;
  Bench bench(profile);
  Bench small_bench(small);
  std::size_t compared = 0;
  for (const Exchange& exchange : read_exchanges()) {
    const bool is_small = exchange.source.find("serial_buf96") != std::string::npos;
    if (exchange.source.find("native_sim/serial") == std::string::npos) continue;
    // A build without save, which is no command of its own.
    if (exchange.name == "settings-save-unsupported") continue;
    CAPTURE(exchange.name);
    const auto answers = (is_small ? small_bench : bench).ask(from_hex(exchange.request));
    REQUIRE(answers.size() == 1);
    CHECK(to_hex(as_bytes(answers[0])) == exchange.response);
    ++compared;
  }
  CHECK(compared > 80);
}

TEST_CASE("answers of the recorded servers with an image group") {
  const std::string old = make_image({});
  const std::string other = make_file({1, 2, 3, 4}, 49692);
  const std::string large = make_file({}, 132476);
  const std::set<std::string> first_of_large{"img-upload-first", "img-upload-second", "img-upload-continue"};
  Profile profile = make_profile();
  profile.slot_bytes = 524288;
  std::optional<Bench> bench(profile);
  std::size_t compared = 0;
  bool loaded = false;
  for (Exchange exchange : read_exchanges()) {
    const bool is_recovery_server = exchange.source.find("mps2_an385") != std::string::npos;
    const bool is_swap_server = exchange.source.find("qemu_cortex_m0") != std::string::npos;
    if (!is_recovery_server && !is_swap_server) continue;
    CAPTURE(exchange.name);
    if (exchange.name == "img-set-no-hash-no-confirm") bench.emplace(profile);  // the first of the other server
    if (exchange.name == "img-upload-last" && !loaded) {
      // The recording has the first and the last part; those between are ours.
      loaded = true;
      for (std::size_t offset = 200; offset < 49600; offset += 200) {
        std::string payload;
        smp::image::Upload::Request part;
        part.offset = offset;
        part.data.bytes = other.substr(offset, 200);
        smp::encode(payload, part);
        std::string packet;
        smp::append_packet(packet, {.op = smp::Op::kWrite, .group = smp::Group::kImage, .command = 1},
                           as_bytes(payload));
        REQUIRE(bench->ask(packet).size() == 1);
      }
    }
    // The images of the recording are not here: others of the same size and version stand in for them.
    for (std::string* text : {&exchange.request, &exchange.response}) {
      replace_all(*text, "18779b16a62c10405e239b096eae0c54c8b097a260978b21b4cec75f149a617e",
                  to_hex(as_bytes(hash_of(old))));
      replace_all(*text, "1baa222074cc805faf4e09846d2377886b1e5ef7cfccd9eac1554d82d9aa9d5a",
                  to_hex(as_bytes(hash_of(old))));
      replace_all(*text, "f3a3210b8f68e945f0c1c7ed1ad10cd3aa6f63617a0eada429b14f56c8a04c2e",
                  to_hex(as_bytes(hash_of(other))));
    }
    const auto request = from_hex(exchange.request);
    if (exchange.name == "img-upload-upgrade-first" || exchange.name == "img-upload-last") {
      // The same part of the image that stands in.
      const auto packet = smp::decode_packet(as_bytes(request));
      auto message = smp::decode<smp::image::Upload::Request>(*smp::decode_payload(packet->payload));
      message->data.bytes = other.substr(*message->offset, message->data.bytes.size());
      std::string payload;
      smp::encode(payload, *message);
      std::string again;
      smp::append_packet(again, packet->header, as_bytes(payload));
      exchange.request = to_hex(as_bytes(again));
    }
    const auto answers = bench->ask(from_hex(exchange.request));
    REQUIRE(answers.size() == 1);
    CHECK(to_hex(as_bytes(answers[0])) == exchange.response);
    ++compared;
    if (exchange.name.starts_with("os-reset") || exchange.name == "recovery-reset-rc0") bench->wait(seconds(2));
  }
  CHECK(compared > 40);
}

TEST_CASE("datagrams of the recorded server") {
  Profile profile = make_profile();
  profile.buffer_bytes = 2048;
  profile.buffers = 2;
  for (const Json& vector : smp::read_vectors("udp.jsonl")) {
    const auto name = vector["name"].get<std::string>();
    if (name == "udp-window-4-of-2-buffers") continue;  // which of them are lost is chance
    CAPTURE(name);
    Bench bench(profile);
    std::vector<std::string> expected;
    std::vector<std::string> given;
    for (const Json& hex : vector["rx_hex"]) expected.push_back(hex.get<std::string>());
    for (const Json& hex : vector["tx_hex"]) {
      for (const std::string& answer : bench.ask(from_hex(hex.get<std::string>())))
        given.push_back(to_hex(as_bytes(answer)));
    }
    CHECK(given == expected);
  }
}

TEST_CASE("group 128 as computed from its source") {
  std::size_t compared = 0;
  for (const Json& vector : smp::read_vectors("packets.jsonl")) {
    const auto name = vector["name"].get<std::string>();
    if (vector["transport"] != "packet" || vector["role"] != "response" || !name.starts_with("memfault-") ||
        !vector["source"].get<std::string>().starts_with("computed")) {
      continue;
    }
    Profile profile = make_profile();
    if (name.find("access-denied") != std::string::npos) profile.denies_memfault = true;
    if (name.find("key-missing") != std::string::npos) profile.project_key.reset();
    if (name.find("empty-strings") != std::string::npos) {
      profile.serial = profile.hardware_version = profile.software_type = profile.current_version = "";
    }
    if (name.find("-long") != std::string::npos) {
      profile.serial = std::string(60, 'S');
      profile.hardware_version = std::string(40, 'H');
      profile.software_type = "main-firmware";
      profile.current_version = "10.20.30-rc.4+build.20260801.abcdef0";
    }
    if (name.find("msgsize") != std::string::npos) profile.buffer_bytes = 96, profile.serial = std::string(60, 'S');
    // Of a canonical build, of an application's hook, of a failure that a simulation has not.
    if (name == "memfault-device-info-definite.rsp" || name == "memfault-device-info-extra-key.rsp" ||
        name == "memfault-unknown-error.rsp") {
      continue;
    }
    CAPTURE(name);
    Bench bench(profile);
    const auto header = smp::to_header(vector["header"]);
    std::string request;
    smp::append_packet(request,
                       {.op = header.op == smp::Op::kReadResponse ? smp::Op::kRead : smp::Op::kWrite,
                        .version = header.version,
                        .group = header.group,
                        .sequence = header.sequence,
                        .command = header.command},
                       as_bytes("\xa0"));
    const auto answers = bench.ask(request);
    REQUIRE(answers.size() == 1);
    CHECK(to_hex(as_bytes(answers[0])) == vector["hex"].get<std::string>());
    ++compared;
  }
  CHECK(compared == 14);
}

// One request, with its group code if it was refused.
struct Asked {
  std::string payload;
  std::int64_t rc = 0;
};

template <typename C>
Asked ask(Bench& bench, const typename C::Request& message = {}) {
  std::string payload;
  smp::encode(payload, message);
  std::string packet;
  smp::append_packet(packet, {.op = C::kCommand.op, .group = C::kCommand.group, .command = C::kCommand.id},
                     as_bytes(payload));
  const auto answers = bench.ask(packet);
  REQUIRE(answers.size() == 1);
  const auto answer = smp::decode_packet(as_bytes(answers[0]));
  const auto value = smp::decode_payload(answer->payload);
  const auto error = smp::find_error(*value, C::kCommand.group);
  return {std::string(as_text(answer->payload)), *error ? (*error)->rc : 0};
}

void upload(Bench& bench, const std::string& file) {
  for (std::size_t offset = 0; offset < file.size(); offset += 128) {
    smp::image::Upload::Request part;
    part.offset = offset;
    if (offset == 0) part.length = file.size();
    part.data.bytes = file.substr(offset, 128);
    REQUIRE(ask<smp::image::Upload>(bench, part).rc == 0);
  }
}

smp::image::State state(Bench& bench) {
  const Asked asked = ask<smp::image::ReadState>(bench);
  return *smp::decode<smp::image::State>(*smp::decode_payload(as_bytes(asked.payload)));
}

TEST_CASE("an image under test is left with the next start, unless it was confirmed") {
  for (const bool confirms : {false, true}) {
    for (const bool crashes : {false, true}) {
      CAPTURE(confirms);
      CAPTURE(crashes);
      Profile profile = make_profile();
      profile.test_crashes = crashes;
      Bench bench(profile);
      const std::string file = make_file({2, 0, 0, 0}, 1000);
      upload(bench, file);
      REQUIRE(ask<smp::image::WriteState>(bench, {smp::ByteString{hash_of(file)}, false}).rc == 0);
      bench.device.restart(bench.now);
      CHECK(bench.ask(from_hex("0a00000600000000a16164626869")).empty());
      bench.wait(seconds(1));
      CHECK(state(bench).images[0].version == (crashes ? "0.0.0" : "2.0.0"));
      CHECK(state(bench).images[0].confirmed == crashes);
      if (confirms) REQUIRE(ask<smp::image::WriteState>(bench, {std::nullopt, true}).rc == 0);
      bench.device.restart(bench.now);
      bench.wait(seconds(1));
      CHECK(state(bench).images[0].version == (crashes || !confirms ? "0.0.0" : "2.0.0"));
      CHECK(state(bench).images[0].confirmed);
    }
  }
}

TEST_CASE("a damaged image is not started, but erased") {
  Bench bench(make_profile());
  std::string file = make_file({2, 0, 0, 0}, 1000);
  file[100] = static_cast<char>(file[100] ^ 1);
  upload(bench, file);
  REQUIRE(ask<smp::image::WriteState>(bench, {smp::ByteString{hash_of(file)}, true}).rc == 0);
  CHECK(state(bench).images[1].permanent);
  bench.device.restart(bench.now);
  bench.wait(seconds(1));
  REQUIRE(state(bench).images.size() == 1);
  CHECK(state(bench).images[0].version == "0.0.0");
}

TEST_CASE("a new upload cancels what is pending") {
  Bench bench(make_profile());
  const std::string file = make_file({2, 0, 0, 0}, 1000);
  upload(bench, file);
  REQUIRE(ask<smp::image::WriteState>(bench, {smp::ByteString{hash_of(file)}, false}).rc == 0);
  upload(bench, make_file({3, 0, 0, 0}, 1000));
  CHECK_FALSE(state(bench).images[1].pending);
}

TEST_CASE("a restart forgets what was not saved, and keeps the rest") {
  Bench bench(make_profile());
  REQUIRE(ask<smp::settings::Write>(bench, {"app/kept", {"1"}}).rc == 0);
  REQUIRE(ask<smp::settings::Save>(bench).rc == 0);
  REQUIRE(ask<smp::settings::Write>(bench, {"app/lost", {"1"}}).rc == 0);
  REQUIRE(ask<smp::os::WriteDateTime>(bench, {"2026-08-01T12:34:56"}).rc == 0);
  REQUIRE(ask<smp::fs::Upload>(bench, {"/lfs1/a", 0, 5, {"hello"}}).rc == 0);
  bench.device.restart(bench.now);
  bench.wait(seconds(2));
  CHECK(ask<smp::settings::Read>(bench, {"app/kept", std::nullopt}).rc == 0);
  CHECK(ask<smp::settings::Read>(bench, {"app/lost", std::nullopt}).rc == 3);
  CHECK(ask<smp::os::ReadDateTime>(bench).payload.find("2026-08-01T12:34:58") != std::string::npos);
  CHECK(ask<smp::fs::Status>(bench, {"/lfs1/a"}).rc == 0);
}

TEST_CASE("files take no more than their room, names included") {
  Bench bench(make_profile());
  std::size_t taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    const Asked asked = ask<smp::fs::Upload>(bench, {fmt::format("/lfs1/{:0200}", i), 0, 10, {"x"}});
    if (asked.rc != 0) {
      CHECK(asked.rc == 10);
      break;
    }
    ++taken;
  }
  CHECK(taken > 4000);
  CHECK(taken < 6000);
  CHECK(ask<smp::fs::Upload>(bench, {"/elsewhere/a", 0, 1, {"x"}}).rc == 14);
  CHECK(ask<smp::fs::Upload>(bench, {"/lfs1/b", 0, std::nullopt, {"x"}}).rc == smp::kInvalid);
}

}  // namespace
}  // namespace fieldpipe::smp_device
