// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smp/packet.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

TEST_CASE("recorded packets, decoded and encoded") {
  for (const Json& vector : read_vectors("packets.jsonl")) {
    if (vector["transport"] != "packet") continue;
    CAPTURE(vector["name"].get<std::string>());
    const std::string bytes = from_hex(vector["hex"].get<std::string>());
    const auto packet = decode_packet(as_bytes(bytes));
    REQUIRE(packet);
    CHECK(packet->header == to_header(vector["header"]));
    CHECK(is_request(packet->header.op) == (vector["role"] == "request"));
    std::string again;
    append_packet(again, packet->header, packet->payload);
    CHECK(to_hex(as_bytes(again)) == vector["hex"].get<std::string>());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) CHECK_FALSE(decode_packet(as_bytes(bytes).first(cut)));
  }
}

TEST_CASE("an exchange is its request and its response") {
  const auto vectors = read_vectors("packets.jsonl");
  std::size_t pairs = 0;
  for (const Json& request : vectors) {
    if (request["transport"] != "packet" || request["role"] != "request" || !request.contains("pair")) continue;
    for (const Json& response : vectors) {
      if (response["name"] != request["pair"] || response["transport"] != "packet") continue;
      CAPTURE(request["name"].get<std::string>());
      CHECK(answers(to_header(response["header"]), to_header(request["header"])));
      CHECK_FALSE(answers(to_header(request["header"]), to_header(request["header"])));
      ++pairs;
    }
  }
  CHECK(pairs > 100);
}

TEST_CASE("the datagrams of a server hold one packet each") {
  for (const Json& vector : read_vectors("udp.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    for (const Json& hex : vector["rx_hex"]) CHECK(decode_packet(as_bytes(from_hex(hex.get<std::string>()))));
  }
}

TEST_CASE("messages for broken packets") {
  CHECK(decode_packet(as_bytes("1234567")).error().what == "a packet of 7 bytes, its header alone has 8");
  CHECK(decode_packet(as_bytes(from_hex("0b00006400000500bf61ff"))).error().what ==
        "a packet with 3 of the 100 payload bytes that it announces");
}

TEST_CASE("packets back to back, cut anywhere") {
  std::string stream;
  std::vector<std::string> expected;
  for (const Json& vector : read_vectors("packets.jsonl")) {
    if (vector["transport"] != "packet" || vector["header"]["op"].get<int>() > 3 ||
        vector["header"]["version"].get<int>() > 1)
      continue;
    expected.push_back(from_hex(vector["hex"].get<std::string>()));
    stream += expected.back();
  }
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, stream.size()}) {
    PacketAssembler assembler;
    std::vector<std::string> packets;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      assembler.receive(as_bytes(std::string_view(stream).substr(at, step)), packets);
    }
    CHECK(packets == expected);
    CHECK(assembler.pending_bytes() == 0);
    CHECK(assembler.strays() == 0);
  }
}

TEST_CASE("a line out of step is noticed") {
  PacketAssembler assembler;
  std::vector<std::string> packets;
  assembler.receive(as_bytes("uart:~$ "), packets);
  CHECK(assembler.strays() > 0);
  assembler.clear();
  assembler.receive(as_bytes(from_hex("0b00000700000500bf6172626869ff")), packets);
  CHECK(packets.size() == 1);
}

TEST_CASE("groups by name and number") {
  CHECK(parse_group("image").value() == Group::kImage);
  CHECK(parse_group("128").value() == Group::kMemfault);
  CHECK(group_name(Group::kMemfault) == "memfault");
  CHECK_FALSE(group_name(static_cast<Group>(77)));
  CHECK(parse_group("65536").error().what == "'65536' is neither a group's name nor a number from 0 to 65535");
}

}  // namespace
}  // namespace fieldpipe::smp
