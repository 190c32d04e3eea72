// SPDX-License-Identifier: MIT
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "memfault/upload.h"

using namespace fieldpipe;
using namespace fieldpipe::memfault;

namespace {

std::string from_hex(std::string_view text) {
  std::string out;
  REQUIRE(decode_hex(text, out));
  return out;
}

std::string verdict(int status, std::string_view content_type = {}, std::string_view body = {}) {
  return std::string(
      print(judge({.status = status, .complete_header = true, .content_type = content_type, .body = body})));
}

}  // namespace

TEST_CASE("the path ends in the serial") {
  CHECK(chunk_url("https://chunks.memfault.com", "DEMO_1-a") == "https://chunks.memfault.com/api/v0/chunks/DEMO_1-a");
  CHECK(chunk_url("http://localhost:8080/prefix/", "X") == "http://localhost:8080/prefix/api/v0/chunks/X");
}

TEST_CASE("bodies of several chunks are those of the vectors") {
  std::ifstream file(FIELDPIPE_VECTORS_DIR "/memfault/multipart.json");
  int compared = 0;
  for (const auto& vector : nlohmann::json::parse(file)) {
    const auto content_type = vector["content_type"].get<std::string>();
    // The older form without a type in front of each part is one that we only know.
    if (vector["name"] == "two_chunks_content_length_only") continue;
    const std::string boundary = content_type.substr(content_type.find('=') + 1);
    std::vector<std::string> chunks;
    for (const auto& hex : vector["chunks"]) chunks.push_back(from_hex(hex.get<std::string>()));
    std::vector<Bytes> views;
    for (const std::string& chunk : chunks) views.push_back(as_bytes(chunk));
    std::string body = "before";
    REQUIRE(append_multipart(body, boundary, views));
    CHECK(body.substr(6) == from_hex(vector["body_hex"].get<std::string>()));
    CHECK(body.size() - 6 == vector["content_length"].get<std::size_t>());
    CHECK(multipart_content_type(boundary) == content_type);
    ++compared;
  }
  CHECK(compared == 2);
}

TEST_CASE("a boundary is 128 bits as hex and may not occur in a chunk") {
  std::array<std::byte, 16> random{};
  random[0] = std::byte{0xAB};
  random[15] = std::byte{0x01};
  const std::string boundary = multipart_boundary(random);
  CHECK(boundary == "ab000000000000000000000000000001");
  const std::string bad = "x" + boundary + "y";
  const std::array<Bytes, 2> chunks{as_bytes("good"), as_bytes(bad)};
  std::string body = "before";
  const auto appended = append_multipart(body, boundary, chunks);
  REQUIRE_FALSE(appended.has_value());
  CHECK(appended.error().code == ErrorCode::kBadData);
  CHECK(appended.error().what == "the boundary occurs in a chunk");
  CHECK(body == "before");
  const std::array<Bytes, 1> without{as_bytes("x" + boundary.substr(1))};
  CHECK(append_multipart(body, boundary, std::span(without)).has_value());
}

TEST_CASE("each status has its verdict") {
  // Those that are not what their hundred is.
  const std::map<int, std::string> special{
      {200, "delivered"},  {201, "delivered"},  {202, "delivered"}, {204, "delivered"}, {401, "credential"},
      {403, "credential"}, {407, "credential"}, {404, "endpoint"},  {405, "endpoint"},  {501, "endpoint"},
      {505, "endpoint"},   {408, "server"},     {425, "server"},    {409, "delivered"}, {413, "size"},
      {429, "rate"},       {511, "network"}};
  const std::map<int, std::string> hundreds{{2, "network"}, {3, "network"}, {4, "record"}, {5, "server"}};
  for (int status = 200; status < 600; ++status) {
    INFO(status);
    const auto found = special.find(status);
    CHECK(verdict(status) == (found != special.end() ? found->second : hundreds.at(status / 100)));
    CHECK(judge({.status = status, .complete_header = false, .content_type = {}, .body = {}}) == Verdict::kNetwork);
  }
  for (const int status : {-1, 0, 100, 101, 199, 600, 999}) CHECK(verdict(status) == "network");
}

TEST_CASE("a web page is no success, whatever it says about itself") {
  for (const int status : {200, 201, 204}) {
    INFO(status);
    for (const char* type : {"text/html", "TEXT/HTML; charset=utf-8", " text/html"})
      CHECK(verdict(status, type) == "network");
    for (const char* body : {"<!DOCTYPE html>", "\r\n  <html>", "\xEF\xBB\xBF<html>", "<"})
      CHECK(verdict(status, "application/json", body) == "network");
    for (const char* type : {"", "text/plain", "text/htm", "application/xhtml"})
      CHECK(verdict(status, type, "{}<") == "delivered");
  }
  CHECK(verdict(202, "text/html", "<html>") == "delivered");
  CHECK(verdict(403, "text/html", "<html>") == "credential");
}
