// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cbor/codec.h"
#include "cbor/json.h"
#include "memfault/coredump.h"
#include "memfault/message.h"
#include "memfault/reboot_reason.h"
#include "memfault/rle.h"
#include "memfault_vectors.h"

namespace fieldpipe::memfault {
namespace {

using nlohmann::json;

std::string members(std::string_view message, bool ok = true, std::size_t max_payload_bytes = 1 << 20) {
  MessagePrinter printer(max_payload_bytes);
  const std::vector<char> copy(message.begin(), message.end());
  std::string out;
  CHECK(printer.append_members(out, as_bytes({copy.data(), copy.size()})).has_value() == ok);
  return out;
}

json printed(std::string_view message, bool ok = true) {
  std::string out = members(message, ok);
  out.front() = '{';
  return json::parse(out + "}");
}

std::string address(const json& number) { return fmt::format("{:#010x}", number.get<std::uint64_t>()); }

json compact_of(const std::string& hex) {
  const auto value = cbor::decode(as_bytes(from_hex(hex)));
  REQUIRE(value);
  std::string text;
  cbor::append_json(text, *value);
  return json::parse(text);
}

// What the recorded fields look like here.
json expected_event(json event) {
  const std::string name = event["type_name"];
  json& info = event["event_info"];
  event.erase("type_name");
  event["type"] = name == "cdr"                                ? "recording"
                  : name == "logs_timestamped"                 ? "logs"
                  : info.contains("reason") && name == "trace" ? "reboot"
                                                               : name;
  if (event.contains("captured_date_unix")) {
    event["captured_time"] = event["captured_date_unix"];
    event.erase("captured_date_unix");
  }
  if (event.contains("build_id")) event["build_id"] = event["build_id"]["bytes"];
  for (const char* const key : {"pc", "lr", "mcu_reason_register"})
    if (info.contains(key)) info[key] = address(info[key]);
  if (info.contains("coredump_saved")) info["coredump_saved"] = info["coredump_saved"] == 1;
  if (info.contains("log_text")) {
    info["log"] = info["log_text"];
    info.erase("log_text");
  }
  if (info.contains("data_len")) {
    info["data_bytes"] = info["data_len"];
    info.erase("data_len");
    info.erase("data_sha256");
  }
  if (info.contains("logs")) {
    json lines = info["logs"];
    for (json& line : lines) {
      line["level"] = line["level_name"];
      line.erase("level_name");
      line.erase("compact_diag");
      if (line.contains("compact")) line["compact"] = compact_of(line["compact"]);
    }
    event.erase("event_info");
    event["logs"] = lines;
  }
  return event;
}

void check_coredump(const json& recorded, const json& dump) {
  CHECK(dump["version"] == recorded["version"]);
  CHECK(dump["total_bytes"] == recorded["total_size"]);
  CHECK(dump["truncated"] == recorded["footer"]["truncated"]);
  REQUIRE(dump["blocks"].size() == recorded["blocks"].size());
  for (std::size_t i = 0; i < dump["blocks"].size(); ++i) {
    const json& block = recorded["blocks"][i];
    CHECK(dump["blocks"][i] ==
          json{{"type", block["type_name"]}, {"address", address(block["address"])}, {"bytes", block["length"]}});
    const std::string name = block["type_name"];
    if (name == "SoftwareVersion") CHECK(dump["software_version"] == block["text"]);
    if (name == "SoftwareType") CHECK(dump["software_type"] == block["text"]);
    if (name == "HardwareVersion") CHECK(dump["hardware_version"] == block["text"]);
    if (name == "MachineType") CHECK(dump["machine"] == block["u32"]);
    if (name == "TraceReason") CHECK(dump["reason"] == block["u32"]);
  }
  CHECK(dump["machine_name"] == "Arm");
  CHECK(dump["reason_name"] == "HardFault");
  REQUIRE(dump["registers"].size() == 1);
  CHECK(dump["registers"][0]["r1"] == "0x11110001");
  CHECK(dump["registers"][0]["sp"] == "0x20000300");
  CHECK(dump["registers"][0]["pc"] == "0x08012344");
  CHECK(dump["registers"][0]["psp"] == "0x00000000");
  CHECK(dump["registers"][0].size() == 19);
}

TEST_CASE("the recorded messages") {
  for (const auto& vector : read_vectors("vectors.json")) {
    CAPTURE(vector["name"].get<std::string>());
    for (const auto& expected : vector["messages"]) {
      if (expected.value("opaque", false)) continue;
      const std::string message = from_hex(expected["message_hex"].get<std::string>());
      const auto header = decode_message(as_bytes(message));
      REQUIRE(header);
      CHECK(header->run_length_coded == expected["rle"].get<bool>());
      CHECK(header->project_key ==
            (expected["project_key"].is_null() ? "" : expected["project_key"].get<std::string>()));
      if (header->run_length_coded) {
        std::string plain;
        REQUIRE(decode_rle(header->payload, 1 << 20, plain));
        CHECK(to_hex(as_bytes(plain)) == expected["payload_unrle_hex"].get<std::string>());
      }
      const json out = printed(message);
      CHECK(out.contains("holds_project_key") == !header->project_key.empty());
      CHECK_FALSE(out.contains("cut"));
      const json& decoded = expected["decoded"];
      if (expected["type_name"] == "coredump") {
        CHECK(out["type"] == "coredump");
        check_coredump(decoded, out["coredump"]);
        continue;
      }
      CHECK(out["type"] == (expected["type_name"] == "cdr" ? "recording" : expected["type_name"]));
      json events = json::array();
      for (const json& event : decoded.is_array() ? decoded : json::array({decoded}))
        events.push_back(expected_event(event));
      CHECK(out["events"] == events);
    }
  }
}

TEST_CASE("the heartbeat of the relay guide, as a line") {
  for (const auto& vector : read_vectors("vectors.json")) {
    if (vector["name"] != "doc_test_pattern_two_chunks") continue;
    CHECK(members(from_hex(vector["messages"][0]["message_hex"].get<std::string>())) ==
          R"(,"type":"event","events":[{"type":"heartbeat","cbor_schema_version":1,"device_serial":"TESTSERIAL",)"
          R"("software_type":"test-software","software_version":"1.0.0-test","hardware_version":"test-hardware",)"
          R"("event_info":{"metrics":{"chunk_test_success":1}}}])");
  }
}

TEST_CASE("messages that cannot be read") {
  CHECK(members("", false) == R"(,"error":"byte 0: a message without its first byte")");
  CHECK(members("\x42xyz", false) == R"(,"error":"byte 1: 3 bytes for a project key of 32 and its NUL")");
  CHECK(members("\x02", false) == R"(,"type":"event","error":"byte 0: 0 bytes that hold no event")");
  CHECK(members("\x02\xFF", false) == R"(,"type":"event","error":"byte 0: a break where no array or map can end")");
  CHECK(members(std::string_view("\x02\xA0\x00", 3), false) ==
        R"(,"type":"event","events":[{}],"error":"byte 1: 1 bytes behind the event")");
  CHECK(members("\x81", false) == R"(,"type":"coredump","error":"byte 0: coredump of 0 bytes has no header")");
  CHECK(members("\x82\x01", false) == R"(,"type":"event","error":"byte 0: a run needs 1 bytes, 0 follow")");
  CHECK(members(from_hex("01434f524102000000000000"), false) ==
        R"(,"type":"coredump","error":"byte 11: coredump of 11 bytes has no header")");
  CHECK(members("\x05PK") == R"(,"type":"mar","payload_bytes":2)");
  CHECK(members(std::string_view("\0", 1)) == R"(,"type":"none","payload_bytes":0)");
  CHECK(members("\x3Fxx") == R"(,"type":63,"payload_bytes":2)");
}

TEST_CASE("events of other shapes") {
  const auto event = [](std::string_view hex) { return printed("\x02" + from_hex(hex))["events"].dump(); };
  CHECK(event("01") == "[1]");
  CHECK(event("80") == "[]");
  CHECK(event("a1021863") == R"([{"type":99}])");
  CHECK(event("a202016178f6") == R"([{"type":"heartbeat","x":null}])");
  CHECK(event("a20202"
              "04a206011863f5") == R"([{"event_info":{"99":true,"user_reason":1},"type":"trace"}])");
  CHECK(event("a20202"
              "04a10119a000") == R"([{"event_info":{"reason":40960},"type":"reboot"}])");
  CHECK(event("a20202"
              "04a109821840"
              "07") == R"([{"event_info":{"compact_log":[64,7]},"type":"trace"}])");
  // Logs whose rest is no line, with a level and a compact line that are not known.
  CHECK(event("a20204"
              "0485"
              "09"
              "41ff"
              "01"
              "6161"
              "02") ==
        R"([{"logs":[{"compact":{"$bytes":"ff"},"level":9},{"level":"info","text":"a"},2],"type":"logs"}])");
  CHECK(event("a20204"
              "04a0") == R"([{"event_info":{},"type":"logs"}])");
  // Firmware that announced more than it wrote.
  const json cut = printed("\x03" + from_hex("a20206048a0101616102"));
  CHECK(cut["cut"] == true);
  CHECK(cut["events"].dump() == R"([{"logs":[{"level":"info","text":"a","timestamp":1},2],"type":"logs"}])");
}

TEST_CASE("coredumps that are damaged or of other machines") {
  const auto dump = [](std::string_view hex, bool ok = true) { return printed("\x01" + from_hex(hex), ok); };
  const std::string footer = "44554d50000000000000000000000000";
  CHECK(dump("434f5245020000001c000000" + footer)["coredump"]["blocks"].empty());
  CHECK(dump("434f5245010000000c000000")["coredump"]["version"] == 1);
  CHECK(dump("434f5245030000000c000000", false)["error"] == "byte 4: coredump of version 3, known are 1 and 2");
  CHECK(dump("434f5246030000000c000000", false)["error"] == "byte 0: coredump begins with 0x46524f43, not with CORE");
  CHECK(dump("434f5245020000000c000000", false)["error"] == "byte 12: coredump without its footer");
  CHECK(dump("434f5245020000001d000000" + footer, false)["error"] ==
        "byte 12: coredump of 28 bytes, its header says 29");
  CHECK(dump("434f52450100000018000000"
             "010000000000002001000000",
             false)["error"] == "byte 20: block of 1 bytes in a coredump, 0 follow");
  CHECK(dump("434f5245010000000d00000000", false)["error"] == "byte 12: 1 bytes behind the last block of a coredump");
  // A block type that is not known, two cores without names, a machine that is.
  const json other = dump(
      "434f52450100000044000000"
      "630000000400000000000000"
      "000000000000000004000000"
      "01000000"
      "000000000000000000000000"
      "070000000000000004000000"
      "5e000300")["coredump"];
  CHECK(other["blocks"][0].dump() == R"({"address":"0x00000004","bytes":0,"type":99})");
  CHECK(other["registers"].dump() == R"([["0x00000001"],[]])");
  CHECK(other["machine_name"] == "Xtensa ESP32-S3");
  CHECK(register_names(243, 37)[36] == "mhartid");
  CHECK(register_names(243, 36).empty());

  // Cut at every byte: never more than what is there.
  for (const auto& vector : read_vectors("vectors.json")) {
    if (vector["name"] != "coredump_plain_mtu512") continue;
    const std::string whole = from_hex(vector["messages"][0]["message_hex"].get<std::string>());
    for (std::size_t size = 1; size < whole.size(); ++size)
      CHECK(printed(std::string_view(whole).substr(0, size), false).contains("error"));
  }
}

TEST_CASE("every message cut at every byte gives a line") {
  for (const auto& vector : read_vectors("vectors.json")) {
    for (const auto& expected : vector["messages"]) {
      const std::string message = from_hex(expected["message_hex"].get<std::string>());
      if (message.size() > 400) continue;
      for (std::size_t size = 0; size < message.size(); ++size) {
        MessagePrinter printer(1 << 20);
        std::string out;
        const auto read = printer.append_members(out, as_bytes(std::string_view(message).substr(0, size)));
        CHECK(read.has_value() == (out.find("\"error\":") == std::string::npos));
        out.front() = '{';
        CHECK(json::accept(out + "}"));
      }
    }
  }
}

TEST_CASE("run-length coding") {
  for (const auto& vector : read_vectors("rle.json")) {
    std::string plain;
    const std::string coded = from_hex(vector["rle_hex"].get<std::string>());
    REQUIRE(decode_rle(as_bytes(coded), 1 << 24, plain));
    CHECK(plain.size() == vector["raw_len"].get<std::size_t>());
    if (!vector["raw_hex"].is_null()) CHECK(to_hex(as_bytes(plain)) == vector["raw_hex"].get<std::string>());
    std::string limited = "before";
    if (plain.empty()) continue;
    CHECK_FALSE(decode_rle(as_bytes(coded), plain.size() - 1, limited));
    CHECK(limited == "before");
  }
  const auto refused = [](std::string_view hex) {
    std::string out;
    const std::string coded = from_hex(hex);
    const auto result = decode_rle(as_bytes(coded), 1000, out);
    REQUIRE_FALSE(result);
    CHECK(out.empty());
    return result.error().what + " @" + std::to_string(*result.error().offset);
  };
  CHECK(refused("00") == "a run of no bytes @0");
  CHECK(refused("024100") == "a run of no bytes @2");
  CHECK(refused("02") == "a run needs 1 bytes, 0 follow @0");
  CHECK(refused("0341") == "a run needs 2 bytes, 1 follow @0");
  CHECK(refused("80") == "a run length that is no 32-bit number @0");
  CHECK(refused("ffffffff7f41") == "a run length that is no 32-bit number @0");
  CHECK(refused("feffffff0f41") == "more than the limit of 1kB after run-length decoding @0");
}

TEST_CASE("reboot reasons") {
  CHECK(print_reboot_reason(0) == "Unknown");
  CHECK(print_reboot_reason(0x9400) == "HardFault");
  CHECK(print_reboot_reason(0x1000).empty());
}

}  // namespace
}  // namespace fieldpipe::memfault
