// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "smp/console.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

struct Received {
  std::vector<std::string> packets;
  std::string text;

  bool operator==(const Received&) const = default;
};

Received receive(std::string_view stream, std::size_t step) {
  ConsoleReceiver receiver;
  Received all;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    receiver.receive(as_bytes(stream.substr(at, step)), all.packets, all.text);
  }
  receiver.finish(all.text);
  return all;
}

TEST_CASE("recorded streams") {
  for (const Json& vector : read_vectors("streams.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    const std::string stream = from_hex(vector["rx_hex"].get<std::string>());
    std::vector<std::string> expected;
    for (const Json& hex : vector["packets_hex"]) expected.push_back(from_hex(hex.get<std::string>()));
    const Received whole = receive(stream, stream.size());
    CHECK(whole.packets == expected);
    if (!vector["text"].is_null()) CHECK(whole.text == latin1(vector["text"].get<std::string>()));
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{64}}) {
      CHECK(receive(stream, step) == whole);
    }
  }
}

TEST_CASE("recorded frames, and ours of the same packets") {
  for (const Json& vector : read_vectors("packets.jsonl")) {
    if (vector["transport"] != "serial-frames") continue;
    CAPTURE(vector["name"].get<std::string>());
    std::string lines;
    for (const Json& line : vector["lines"]) lines += latin1(line.get<std::string>());
    const std::string packet = from_hex(vector["packet_hex"].get<std::string>());
    CHECK(receive(lines, 1) == Received{{packet}, {}});
    std::string ours;
    append_console_lines(ours, as_bytes(packet));
    CHECK(receive(ours, ours.size()) == Received{{packet}, {}});
    if (vector["role"] == "request") CHECK(ours == lines);
    for (std::size_t cut = 0; cut < lines.size(); ++cut) {
      CHECK(receive(std::string_view(lines).substr(0, cut), cut + 1).packets.empty());
    }
  }
}

TEST_CASE("damaged frames give no packet, and the next one comes") {
  const std::string good = "\x06\tABELAAAHAAAFAL9hcmJoaf+p9Q==\n";
  REQUIRE(receive(good, 1).packets.size() == 1);
  for (const Json& vector : read_vectors("malformed.jsonl")) {
    if (vector["transport"] != "serial-frames") continue;
    CAPTURE(vector["name"].get<std::string>());
    std::string lines;
    for (const Json& line : vector["lines"]) lines += latin1(line.get<std::string>());
    CHECK(receive(lines, 1).packets.empty());
    CHECK(receive(lines + good, 1).packets.size() == 1);
  }
}

TEST_CASE("a byte that goes wrong anywhere in a frame never gives another packet") {
  const std::string good = "\x06\tABELAAAHAAAFAL9hcmJoaf+p9Q==\n";
  const auto expected = receive(good, 1).packets;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      const auto packets = receive(bad, bad.size()).packets;
      CHECK((packets.empty() || packets == expected));
    }
  }
}

TEST_CASE("lines of any length") {
  std::string packet;
  append_packet(packet, {.op = Op::kWrite}, as_bytes(std::string(1000, 'x')));
  for (const std::size_t line_bytes : {std::size_t{8}, std::size_t{127}, std::size_t{128}, std::size_t{4096}}) {
    std::string lines;
    append_console_lines(lines, as_bytes(packet), line_bytes);
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = lines.find('\n', begin) + 1;
      CHECK(end - begin <= line_bytes);
      begin = end;
    }
    CHECK(receive(lines, 5) == Received{{packet}, {}});
  }
}

TEST_CASE("what is no frame is passed on unchanged") {
  std::string text;
  for (int c = 0; c < 256; ++c) text += static_cast<char>(c);
  text += "\x06\x06\x04\x06\x04\x04 \x06\tnot base64!\n\x04\x14*\r\n\x06";
  CHECK(receive(text, 1) == Received{{}, text});
  CHECK(receive(text, text.size()) == Received{{}, text});
  // A line without an end is text once it is too long, and memory does not grow.
  const std::string endless = "\x06\t" + std::string(kMaxConsoleLineBytes * 3, 'A');
  CHECK(receive(endless, 1000) == Received{{}, endless});
}

}  // namespace
}  // namespace fieldpipe::smp
