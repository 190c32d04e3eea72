// SPDX-License-Identifier: MIT
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "smp/enumeration.h"
#include "smp/fs.h"
#include "smp/image.h"
#include "smp/memfault.h"
#include "smp/os.h"
#include "smp/settings.h"
#include "smp/shell.h"
#include "smp/stat.h"
#include "smp/zephyr.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

// Reads a payload as a message, and writes it again; the texts of failures, too.
template <typename T>
std::string round_trip(const cbor::Value& payload) {
  const auto message = decode<T>(payload);
  if (!message) return message.error().what;
  std::string out;
  encode(out, *message);
  return to_hex(as_bytes(out));
}

using RoundTrip = std::string (*)(const cbor::Value&);
using Key = std::tuple<Group, int, Op>;
std::map<Key, RoundTrip> all_messages() {
  std::map<Key, RoundTrip> all;
  const auto add = [&]<typename T>(T) {
    all[{T::kCommand.group, T::kCommand.id, T::kCommand.op}] = round_trip<typename T::Request>;
    all[{T::kCommand.group, T::kCommand.id, response_op(T::kCommand.op)}] = round_trip<typename T::Response>;
  };
  const auto add_all = [&](auto... commands) { (add(commands), ...); };
  add_all(os::Echo{}, os::TaskStatistics{}, os::MemoryPools{}, os::ReadDateTime{}, os::WriteDateTime{}, os::Reset{},
          os::Parameters{}, os::Info{}, os::BootLoader{}, image::ReadState{}, image::WriteState{}, image::Upload{},
          image::Erase{}, image::ReadSlots{}, stat::Read{}, stat::List{}, settings::Read{}, settings::Write{},
          settings::Delete{}, settings::Commit{}, settings::Load{}, settings::Save{}, fs::Download{}, fs::Upload{},
          fs::Status{}, fs::Hash{}, fs::HashTypes{}, fs::Close{}, shell::Execute{}, enumeration::Count{},
          enumeration::List{}, enumeration::Single{}, enumeration::ReadDetails{}, zephyr::EraseStorage{},
          memfault::ReadDeviceInfo{}, memfault::ReadProjectKey{});
  return all;
}

// Wrong on purpose, or with keys that peers spell in their own way.
const std::set<std::string> kOther{
    "os-echo-missing-d.req", "os-echo-wrong-type.req", "peer.os_management.TaskStatisticsReadResponse",
    "peer.os_management.MemoryPoolStatisticsReadResponse", "peer.os_management.BootloaderInformationReadResponse"};

// Keys in an order that is not ours, keys that are not ours, defaults that are left out or written.
bool is_loose(const std::string& name) {
  static const std::set<std::string> names{"img-upload-no-off.req",
                                           "img-upload-upgrade-same-version.req",
                                           "img-upload-upgrade-first.req",
                                           "img-upload-under-test-no-slot.req",
                                           "img-upload-under-test-no-slot-v1.req",
                                           "img-upload-downgrade.req",
                                           "img-upload-downgrade-v1.req",
                                           "img-state-two-images.rsp",
                                           "img-upload-legacy-rc0.rsp",
                                           "memfault-device-info-extra-key.rsp"};
  return names.contains(name) || name.starts_with("peer.") || name.starts_with("recovery-") ||
         name.starts_with("mynewt-");
}

// With the keys of each map in the order of the alphabet, so that order does not matter, and without false and 0.
cbor::Value normalized(const cbor::Value& value) {
  if (const auto* items = value.array()) {
    cbor::Value::Array array;
    for (const auto& item : *items) array.push_back(normalized(item));
    return array;
  }
  if (value.map() == nullptr) return value;
  std::map<std::string, cbor::Value> sorted;
  for (const auto& [key, member] : *value.map()) {
    if (member == cbor::Value(false) || *key.text() == "rc" || *key.text() == "x" ||
        (*key.text() == "image" && member == cbor::Value(0)))
      continue;
    sorted[*key.text()] = normalized(member);
  }
  cbor::Value::Map map;
  for (auto& [key, member] : sorted) map.emplace_back(key, std::move(member));
  return map;
}

TEST_CASE("recorded payloads, decoded and encoded") {
  const auto messages = all_messages();
  std::size_t checked = 0;
  for (const Json& vector : read_vectors("packets.jsonl")) {
    if (vector["transport"] != "packet") continue;
    const auto name = vector["name"].get<std::string>();
    CAPTURE(name);
    const std::string bytes = from_hex(vector["hex"].get<std::string>());
    const auto packet = decode_packet(as_bytes(bytes));
    REQUIRE(packet);
    if (vector["payload"].is_null()) continue;
    const auto payload = decode_payload(packet->payload);
    REQUIRE(payload);
    CHECK(*payload == to_value(vector["payload"]));
    if (vector["role"] == "response") {
      const auto error = find_error(*payload, packet->header.group);
      REQUIRE(error);
      const Json& result = vector["result"];
      CHECK(error->has_value() == (result["kind"] != "ok" && name != "shell-exec-legacy-rc.rsp"));
      if (*error) {
        CHECK((*error)->rc == result["rc"].get<std::int64_t>());
        CHECK((*error)->group.has_value() == (result["kind"] == "error-v2"));
        CHECK((*error)->reason == result.value("rsn", ""));
        continue;
      }
    }
    const auto found = messages.find({packet->header.group, packet->header.command, packet->header.op});
    if (found == messages.end()) continue;
    ++checked;
    const std::string again = found->second(*payload);
    std::string canonical;
    cbor::encode(canonical, *payload);
    if (kOther.contains(name)) {
      CHECK(again != to_hex(as_bytes(canonical)));
    } else if (is_loose(name)) {
      CHECK(normalized(decode_payload(as_bytes(from_hex(again))).value()) == normalized(*payload));
    } else {
      CHECK(again == to_hex(as_bytes(canonical)));
    }
  }
  CHECK(checked > 200);
}

TEST_CASE("hostile payloads") {
  for (const Json& vector : read_vectors("malformed.jsonl")) {
    const auto layer = vector["layer"].get<std::string>();
    if (layer == "frame") continue;
    CAPTURE(vector["name"].get<std::string>());
    const std::string bytes = from_hex(vector["hex"].get<std::string>());
    const auto expect = vector["expect"].get<std::string>();
    const Header request = to_header(vector["request"]);
    // What a client does with a packet: 'rejected' with the text, 'ignored', or the payload that it makes of it.
    const std::string outcome = [&]() -> std::string {
      const auto packet = decode_packet(as_bytes(bytes));
      if (!packet) return "rejected: " + packet.error().what;
      if (!answers(packet->header, request)) return "ignored";
      const auto payload = decode_payload(packet->payload);
      if (!payload) return "rejected: " + payload.error().what;
      const auto error = find_error(*payload, request.group);
      if (!error) return "rejected: " + error.error().what;
      if (*error) return print(**error);
      std::string out;
      const auto take = [&]<typename T>(T) {
        const auto response = decode<typename T::Response>(*payload);
        if (!response) return out = "rejected: " + response.error().what, void();
        append_json(out, *response);
      };
      if (request.group == Group::kOs) take(os::Echo{});
      if (request.group == Group::kImage) take(image::Upload{});
      if (request.group == Group::kFs) take(fs::Download{});
      return out;
    }();
    CAPTURE(outcome);
    const bool rejected = outcome.starts_with("rejected: ");
    if (vector["name"] == "download-no-progress" || vector["name"] == "download-first-without-len") {
      CHECK_FALSE(rejected);  // the download refuses these
    } else if (expect.starts_with("reject") || expect.ends_with("reject because r is missing")) {
      CHECK(rejected);
    } else if (expect.starts_with("accept")) {
      CHECK_FALSE(rejected);
      CHECK(outcome != "ignored");
    } else {
      CHECK(outcome == "ignored");
    }
  }
}

template <typename T>
std::string json_of(const T& message) {
  std::string out;
  append_json(out, message);
  return out;
}

TEST_CASE("messages as JSON") {
  CHECK(json_of(os::Parameters::Response{384, 4}) == R"({"buf_size":384,"buf_count":4})");
  CHECK(json_of(Nothing{}) == "{}");
  image::Slot slot;
  slot.version = "1.2.3";
  slot.hash = ByteString{"\x01\xab"};
  slot.active = true;
  CHECK(json_of(image::State{{slot}, std::nullopt}) ==
        R"({"images":[{"image":0,"slot":0,"version":"1.2.3","hash":"01ab","bootable":false,"pending":false,)"
        R"("confirmed":false,"active":true,"permanent":false}]})");
  CHECK(json_of(fs::Hash::Response{"sha256", std::nullopt, 5, ByteString{"\xff"}}) ==
        R"({"type":"sha256","len":5,"output":"ff"})");
  CHECK(json_of(os::MemoryPools::Response{{{"a", {64, 10, 7, 3}}}}) ==
        R"({"a":{"blksiz":64,"nblks":10,"nfree":7,"min":3}})");
  CHECK(json_of(os::TaskStatistics::Response{}) == R"({"tasks":{}})");
}

TEST_CASE("what is missing or wrong is named") {
  const auto what = []<typename T>(T, std::string_view hex) {
    return decode<T>(decode_payload(as_bytes(from_hex(hex))).value()).error().what;
  };
  CHECK(what(os::Parameters::Response{}, "a0") == "buf_size is missing");
  CHECK(what(os::Parameters::Response{}, "a2686275665f73697a651b0000000100000000696275665f636f756e7401") ==
        "buf_size: is not a whole number from 0 within its range");
  CHECK(what(image::State{}, "a166696d6167657381a164736c6f7400") == "images: 0: version is missing");
  CHECK(what(os::Echo::Response{}, "a1617201") == "r: is not a text");
}

TEST_CASE("data fills a packet exactly") {
  for (std::size_t limit = 1; limit < 2500; ++limit) {
    image::Upload::Request request;
    request.offset = 1000;
    std::string empty;
    encode(empty, request);
    const std::size_t room = data_room(empty.size(), limit);
    if (limit <= empty.size()) {
      CHECK(room == 0);
      continue;
    }
    const auto size_with = [&](std::size_t bytes) {
      request.data.bytes.assign(bytes, 'x');
      std::string out;
      encode(out, request);
      return out.size();
    };
    CHECK(size_with(room) <= limit);
    CHECK(size_with(room + 1) > limit);
  }
}

}  // namespace
}  // namespace fieldpipe::smp
