// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "uplink_client/actions.h"

using namespace fieldpipe;

namespace {

std::string said(std::string_view line) {
  json::Reader reader;
  const auto progress = uplink_client::parse_progress(reader, line);
  return fmt::format("{}|{}|{}", progress.percent ? fmt::format("{}", *progress.percent) : "", progress.state,
                     progress.text);
}

}  // namespace

TEST_CASE("what a line of a handler says about its progress") {
  CHECK(said("0%") == "0||");
  CHECK(said(" 42 % \r") == "42||");
  CHECK(said("100%") == "99||");
  CHECK(said("101%") == "||101%");
  CHECK(said("-1%") == "||-1%");
  CHECK(said("5.5%") == "||5.5%");
  CHECK(said("%") == "||%");
  CHECK(said("at 50% now") == "||at 50% now");
  CHECK(said(R"({"progress":40})") == "40||");
  CHECK(said(R"({"progress": 100, "state": "Unpacking", "more": [1]})") == "99|Unpacking|");
  CHECK(said(R"({"progress":40,"state":"Completed"})") == "40||");
  CHECK(said(R"({"progress":40,"state":"Failed"})") == "40||");
  CHECK(said(R"({"progress":101})") == R"(||{"progress":101})");
  CHECK(said(R"({"progress":"40"})") == R"(||{"progress":"40"})");
  CHECK(said(R"({"state":"Unpacking"})") == R"(||{"state":"Unpacking"})");
  CHECK(said("{not json") == "||{not json");
  CHECK(said("working") == "||working");
}
