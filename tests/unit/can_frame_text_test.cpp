// SPDX-License-Identifier: MIT
#include "can/frame_text.h"

#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "can/candump.h"
#include "can/database_text.h"

namespace fieldpipe::can {
namespace {

constexpr std::string_view kText =
    "BO_ 256 Engine: 8 ECU\n"
    " SG_ Speed : 0|16@1+ (0.1,0) [0|250] \"km/h\" GW\n"
    " SG_ Gear M : 16|4@1+ (1,0) [0|0] \"\" GW\n"
    " SG_ Torque m3 : 24|16@1- (0.5,-10) [0|0] \"N,m\" GW\n"
    "BO_ 2364540158 EEC1: 8 ECU\n"
    " SG_ Rpm : 24|16@1+ (0.125,0) [0|0] \"rpm\" GW\n"
    "VAL_ 256 Gear 3 \"third\" 0 \"neutral, \\\"N\\\"\" ;\n";

Databases databases(bool j1939 = false) {
  Databases result(j1939);
  auto database = parse_dbc(std::string(kText));
  REQUIRE(database);
  result.add("", *std::move(database));
  return result;
}

std::string print(Databases& databases, FrameWriterOptions options, std::string_view line,
                  std::optional<unsigned> bus = 0) {
  auto writer = FrameWriter::create(std::move(options), databases);
  REQUIRE(writer);
  CandumpLine parsed;
  REQUIRE(parse_candump(line, parsed) == LineClass::kFrame);
  TimedFrame timed;
  timed.time = Moment::of_ns(parsed.time_ns);
  timed.interface = parsed.interface;
  timed.bus = bus;
  timed.frame = parsed.frame;
  std::string out;
  REQUIRE(writer->write(out, timed));
  return out;
}

constexpr std::string_view kThird = "(1700000000.123456) can0 100#FF00031E00";

TEST_CASE("signals in each format") {
  Databases known = databases();
  CHECK(
      print(known, {}, kThird) ==
      R"({"time":1700000000.123456,"bus":0,"id":256,"extended":false,"message":"Engine","signals":{"Speed":25.5,"Gear":3,"Torque":5}})"
      "\n");
  CHECK(
      print(known, {.choices = true, .units = true}, kThird) ==
      R"({"time":1700000000.123456,"bus":0,"id":256,"extended":false,"message":"Engine","signals":{"Speed":25.5,"Gear":3,"Torque":5},)"
      R"("choices":{"Gear":"third"},"units":{"Speed":"km/h","Torque":"N,m"}})"
      "\n");
  CHECK(
      print(known, {.flat = true, .choices = true, .units = true, .only = {"Engine.Gear"}}, kThird) ==
      R"({"time":1700000000.123456,"bus":0,"id":256,"extended":false,"message":"Engine","signal":"Gear","value":3,"choice":"third"})"
      "\n");
  CHECK(print(known, {.format = FrameFormat::kCsv}, kThird) ==
        "1700000000.123456,0,Engine,Speed,25.5,km/h\n"
        "1700000000.123456,0,Engine,Gear,3,\n"
        "1700000000.123456,0,Engine,Torque,5,\"N,m\"\n");
  CHECK(print(known, {.format = FrameFormat::kInflux}, kThird) ==
        "Engine,bus=0 Speed=25.5,Gear=3,Torque=5 1700000000123456000\n");
  CHECK(print(known, {.format = FrameFormat::kInflux}, "(1700000000.123456) my,can 100#FF00031E00", std::nullopt) ==
        "Engine,interface=my\\,can Speed=25.5,Gear=3,Torque=5 1700000000123456000\n");
}

TEST_CASE("what a frame cannot give is left out and said") {
  Databases known = databases();
  CHECK(
      print(known, {}, "(1700000000.000000) can0 100#FF0005") ==
      R"({"time":1700000000.000000,"bus":0,"id":256,"extended":false,"message":"Engine","signals":{"Speed":25.5,"Gear":5},)"
      R"("left_out":{"Gear":"unknown multiplexer value"}})"
      "\n");
  CHECK(
      print(known, {}, "(1700000000.000000) can0 100#FF0003") ==
      R"({"time":1700000000.000000,"bus":0,"id":256,"extended":false,"message":"Engine","signals":{"Speed":25.5,"Gear":3},)"
      R"("left_out":{"Torque":"beyond the frame"}})"
      "\n");
}

TEST_CASE("frames no database knows are counted, or printed as they are") {
  Databases known = databases();
  CHECK(print(known, {}, "(1700000000.000000) can0 7FF#01").empty());
  CHECK(print(known, {.unknown = true}, "(1700000000.000000) eth 7FF#01", std::nullopt) ==
        R"({"time":1700000000.000000,"interface":"eth","id":2047,"extended":false,"fd":false,"dlc":1,"data":"01"})"
        "\n");
}

TEST_CASE("J1939 matches by parameter group number and tells the source address") {
  constexpr std::string_view kLine = "(1700000000.000000) can0 0CF00417#0000002003000000";
  Databases exact = databases();
  CHECK(print(exact, {}, kLine).empty());
  Databases groups = databases(true);
  CHECK(
      print(groups, {.source_address = true}, kLine) ==
      R"({"time":1700000000.000000,"bus":0,"id":217056279,"extended":true,"message":"EEC1","signals":{"Rpm":100},"source":23})"
      "\n");
}

TEST_CASE("options that contradict the databases or each other are refused") {
  Databases none;
  Databases known = databases();
  const auto refusal = [](Databases& with, FrameWriterOptions options) {
    const auto writer = FrameWriter::create(std::move(options), with);
    REQUIRE_FALSE(writer);
    CHECK(writer.error().code == ErrorCode::kUsage);
    return writer.error().what;
  };
  CHECK(refusal(known, {.format = FrameFormat::kCandump}) == "a candump log holds no signals");
  CHECK(refusal(none, {.format = FrameFormat::kInflux}) == "line protocol needs the names of signals");
  CHECK(refusal(none, {.flat = true}) == "--flat, --choices, --units, --unknown, --j1939 and --only need a database");
  CHECK(refusal(known, {.format = FrameFormat::kCsv, .units = true}) == "--flat, --choices and --units are for NDJSON");
  CHECK(refusal(known, {.only = {"Engine.Sped"}}) == "--only Engine.Sped: no database has it");
}

TEST_CASE("the vectors of the hand-written database agree") {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/can/dbc/basic.dbc", std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::ifstream cases(FIELDPIPE_VECTORS_DIR "/can/dbc/basic.jsonl");
  int seen = 0;
  for (std::string line; std::getline(cases, line); ++seen) {
    const auto vector = nlohmann::json::parse(line);
    CAPTURE(vector["line"].get<std::string>());
    Databases known(vector.value("j1939", false));
    auto database = parse_dbc(text);
    REQUIRE(database);
    known.add("", *std::move(database));
    const std::string printed = print(known, {}, vector["line"].get<std::string>());
    if (vector["msg"].is_null()) {
      CHECK(printed.empty());
      continue;
    }
    const auto object = nlohmann::ordered_json::parse(printed);
    CHECK(object["message"] == vector["msg"]);
    REQUIRE(object["signals"].size() == vector["signals"].size());
    for (const auto& signal : vector["signals"]) {
      if (!signal.contains("text")) continue;
      const std::string member =
          fmt::format("\"{}\":{}", signal["name"].get<std::string>(), signal["text"].get<std::string>());
      CHECK((printed.find(member + ",") != std::string::npos || printed.find(member + "}") != std::string::npos));
    }
  }
  CHECK(seen == 42);
}

TEST_CASE("of two definitions of one identifier the first holds, and both are named") {
  Databases known = databases();
  auto other = parse_dbc("BO_ 256 Motor: 8 ECU\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" GW\nBO_ 300 Other: 8 ECU\n");
  REQUIRE(other);
  known.add("", *std::move(other));
  REQUIRE(known.conflicts().size() == 1);
  CHECK(known.conflicts()[0].kept->name == "Engine");
  CHECK(known.conflicts()[0].dropped->name == "Motor");
  CHECK(print(known, {.only = {"Engine.Gear"}}, kThird).find("\"Engine\"") != std::string::npos);
  // On another bus it is no contradiction.
  Databases apart;
  auto first = parse_dbc("BO_ 256 Engine: 8 ECU\n");
  auto second = parse_dbc("BO_ 256 Motor: 8 ECU\n");
  apart.add("can0", *std::move(first));
  apart.add("can1", *std::move(second));
  CHECK(apart.conflicts().empty());
}

TEST_CASE("a message of a database as NDJSON") {
  auto database = parse_dbc(std::string(kText));
  REQUIRE(database);
  std::string out;
  append_message(out, database->messages[0]);
  CHECK(nlohmann::json::parse(out) ==
        nlohmann::json::parse(R"({"message":"Engine","id":256,"extended":false,"length":8,"sender":"ECU","signals":[
      {"signal":"Speed","start":0,"length":16,"byte_order":"intel","type":"unsigned","factor":0.1,"offset":0,"minimum":0,"maximum":250,"unit":"km/h","receivers":"GW"},
      {"signal":"Gear","start":16,"length":4,"byte_order":"intel","type":"unsigned","factor":1,"offset":0,"minimum":0,"maximum":0,"receivers":"GW","is_multiplexor":true,"choices":{"0":"neutral, \"N\"","3":"third"}},
      {"signal":"Torque","start":24,"length":16,"byte_order":"intel","type":"signed","factor":0.5,"offset":-10,"minimum":0,"maximum":0,"unit":"N,m","receivers":"GW","multiplexor":"Gear","values":[[3,3]]}]})"));
}

}  // namespace
}  // namespace fieldpipe::can
