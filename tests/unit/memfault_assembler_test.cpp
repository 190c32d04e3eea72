// SPDX-License-Identifier: MIT
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "digest/crc16.h"
#include "memfault/assembler.h"
#include "memfault_vectors.h"

namespace fieldpipe::memfault {
namespace {

constexpr std::size_t kMaxMessageBytes = 1 << 20;

struct Given {
  std::string hex;
  std::uint64_t record;
  std::uint32_t chunks;
  std::size_t padding_bytes;
  bool operator==(const Given&) const = default;
};

struct Outcome {
  std::vector<Given> messages;
  std::vector<Fault> faults;
  DeviceCounts counts;
};

Given given(const Message& message) {
  CHECK(digest::crc16(0, message.bytes) == message.crc);
  return {to_hex(message.bytes), message.record, message.chunks, message.padding_bytes};
}

// Records are numbered from 0 here, as the vectors number chunks.
Outcome assemble(const std::vector<std::string>& chunks, std::size_t max_message_bytes = kMaxMessageBytes) {
  Assembler assembler(max_message_bytes);
  Outcome outcome;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    // A copy of its own, so that a sanitizer sees a read beyond the end.
    const std::vector<char> chunk(chunks[i].begin(), chunks[i].end());
    if (const auto message = assembler.take("d", as_bytes({chunk.data(), chunk.size()}), i))
      outcome.messages.push_back(given(*message));
  }
  assembler.finish(chunks.size());
  for (const DeviceFault& each : assembler.take_faults()) outcome.faults.push_back(each.fault);
  outcome.counts = assembler.counts();
  return outcome;
}

std::vector<std::string> hex_chunks(std::initializer_list<std::string_view> hex) {
  std::vector<std::string> chunks;
  for (const auto each : hex) chunks.push_back(from_hex(each));
  return chunks;
}

std::string kinds(const Outcome& outcome) {
  std::string text;
  for (const Fault& fault : outcome.faults) {
    if (!text.empty()) text += " ";
    text.append(print_fault_kind(fault.kind)).append("@").append(std::to_string(fault.record));
  }
  return text;
}

// The chunks of a message of `size` bytes, `data_bytes` in each but the last, which has the CRC alone.
std::vector<std::string> cut(std::string_view message, std::size_t data_bytes) {
  REQUIRE(message.size() < 128);
  std::vector<std::string> chunks;
  for (std::size_t at = 0; at < message.size(); at += data_bytes) {
    std::string chunk(at == 0 ? "\x48" : "\xC0");
    chunk.push_back(static_cast<char>(at == 0 ? message.size() : at));
    chunks.push_back(chunk.append(message.substr(at, data_bytes)));
  }
  const std::uint16_t crc = digest::crc16(0, as_bytes(message));
  chunks.push_back(
      {'\x80', static_cast<char>(message.size()), static_cast<char>(crc & 0xFFU), static_cast<char>(crc >> 8U)});
  return chunks;
}

TEST_CASE("the recorded streams") {
  for (const auto& vector : read_vectors("vectors.json")) {
    CAPTURE(vector["name"].get<std::string>());
    const Outcome outcome = assemble(chunks_of(vector["chunks"]));
    REQUIRE(outcome.messages.size() == vector["messages"].size());
    for (std::size_t i = 0; i < outcome.messages.size(); ++i) {
      const auto& expected = vector["messages"][i];
      const Given& message = outcome.messages[i];
      CHECK(message.hex == expected["message_hex"].get<std::string>());
      CHECK(message.record == expected["chunk_indexes"].back().get<std::uint64_t>());
      CHECK(message.padding_bytes == expected["trailing_padding"].get<std::size_t>());
      CHECK(message.chunks == expected["chunk_indexes"].size());
    }
    if (vector["name"] == "restart_after_abort") {
      CHECK(outcome.counts.faults[static_cast<std::size_t>(FaultKind::kRestart)] == 1);
    } else {
      CHECK(kinds(outcome).empty());
    }
    CHECK(outcome.counts.lost == 0);
    CHECK(outcome.counts.chunks == vector["chunks"].size());
    CHECK(outcome.counts.messages == vector["messages"].size());
  }
}

TEST_CASE("the same chunks as lines") {
  std::map<std::string, std::vector<std::string>> streams;
  const std::string text = read_file("chunks.tsv");
  for (std::size_t at = text.find('\n') + 1; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    const std::size_t last = line.rfind('\t');
    streams[line.substr(0, line.find('\t'))].push_back(line.substr(last + 1));
    at = end + 1;
  }
  const auto vectors = read_vectors("vectors.json");
  CHECK(streams.size() == vectors.size());
  for (const auto& vector : vectors)
    CHECK(streams[vector["name"].get<std::string>()] == vector["chunks"].get<std::vector<std::string>>());
}

TEST_CASE("the recorded faults") {
  for (const auto& vector : read_vectors("faults.json")) {
    const std::string name = vector["name"];
    CAPTURE(name);
    const Outcome outcome = assemble(chunks_of(vector["chunks"]));
    CAPTURE(kinds(outcome));
    if (name == "interleaved_two_devices") {
      // Known only when the bytes contradict each other, and then for the chunk with which it began.
      CHECK(kinds(outcome) == "superseded@1 duplicate@3 interleaved@1 crc_mismatch@6 orphan_continuation@7");
      continue;
    }
    REQUIRE(outcome.faults.size() == vector["faults"].size());
    for (std::size_t i = 0; i < outcome.faults.size(); ++i) {
      const auto& expected = vector["faults"][i];
      const Fault& fault = outcome.faults[i];
      CHECK(print_fault_kind(fault.kind) == expected["kind"].get<std::string>());
      if (!expected["chunk"].is_null()) CHECK(fault.record == expected["chunk"].get<std::uint64_t>());
      for (const char* const key : {"got_offset", "have", "offset", "cfg", "channel"})
        if (expected.contains(key)) CHECK(fault.got == expected[key].get<std::uint64_t>());
      for (const char* const key : {"expected_offset", "total"})
        if (expected.contains(key)) CHECK(fault.wanted == expected[key].get<std::uint64_t>());
    }
    std::vector<std::string> messages;
    for (const Given& message : outcome.messages) messages.push_back(message.hex);
    std::vector<std::string> expected = vector["valid_messages_in_order"];
    // The gap is closed by the chunk that comes late.
    if (name == "swapped_continuations") {
      const std::string notes = vector["notes"];
      expected = {notes.substr(notes.find("message_if_reordered=") + 21)};
    }
    CHECK(messages == expected);
  }
}

TEST_CASE("the two devices of the interleaved stream, told apart") {
  for (const auto& vector : read_vectors("faults.json")) {
    if (vector["name"] != "interleaved_two_devices") continue;
    Assembler assembler(kMaxMessageBytes);
    std::vector<std::string> messages;
    const auto chunks = chunks_of(vector["chunks"]);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      if (const auto message = assembler.take(i % 2 == 0 ? "a" : "b", as_bytes(chunks[i]), i))
        messages.push_back(to_hex(message->bytes));
    }
    assembler.finish(chunks.size());
    CHECK(assembler.take_faults().empty());
    REQUIRE(messages.size() == 2);
    const std::string notes = vector["notes"];
    for (const std::string& message : messages) CHECK(notes.find(message) != std::string::npos);
  }
}

TEST_CASE("all orders of the chunks behind the first give the message") {
  const std::string message = "\x02 a message in five parts";
  auto chunks = cut(message, 6);
  REQUIRE(chunks.size() == 6);
  std::vector<std::size_t> order = {1, 2, 3, 4, 5};
  do {
    std::vector<std::string> shuffled = {chunks[0]};
    for (const std::size_t i : order) shuffled.push_back(chunks[i]);
    const Outcome outcome = assemble(shuffled);
    CAPTURE(kinds(outcome));
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.messages[0].hex == to_hex(as_bytes(message)));
    CHECK(outcome.counts.lost == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("each chunk twice, missing, or cut at each byte") {
  const std::string message = "\x02 a message in five parts";
  const auto chunks = cut(message, 6);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    CAPTURE(i);
    auto twice = chunks;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), chunks[i]);
    Outcome outcome = assemble(twice);
    REQUIRE(outcome.messages.size() == 1);
    CHECK(outcome.counts.lost == 0);
    CHECK(outcome.faults.size() == 1);
    CHECK(outcome.faults[0].kind == (i == 0 ? FaultKind::kRestart : FaultKind::kDuplicate));

    auto missing = chunks;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    outcome = assemble(missing);
    CHECK(outcome.messages.empty());
    CHECK(outcome.counts.lost == (i == 0 ? 0 : 1));
    CHECK(outcome.faults.size() == (i == 0 ? missing.size() : 1));

    for (std::size_t size = 0; size < chunks[i].size(); ++size) {
      auto shorter = chunks;
      shorter[i].resize(size);
      CHECK(assemble(shorter).messages.empty());
    }
  }
}

TEST_CASE("conflicts, late ones too") {
  CHECK(kinds(assemble(hex_chunks({"4804aabb", "c001bc", "c001bb"}))) == "conflict@1 duplicate@2 incomplete@3");
}

TEST_CASE("limits") {
  CHECK(kinds(assemble(hex_chunks({"480541", "c00142"}), 4)) == "too_large@0");
  const Outcome outcome = assemble(hex_chunks({"480541", "c00142", "08024156a5"}), 4);
  CHECK(outcome.faults[0] == Fault{FaultKind::kTooLarge, 0, 5, 4});
  CHECK(kinds(assemble(hex_chunks({"0802a088d3"}), 1)) == "too_large@0");
  CHECK(assemble(hex_chunks({"0802a088d3"}), 2).messages.size() == 1);
  CHECK(kinds(assemble(hex_chunks({"48ffffffff0f41"}))) == "too_large@0");
  CHECK(kinds(assemble(hex_chunks({"4800", "80000000"}))) == "short_message@0");
  CHECK(kinds(assemble(hex_chunks({"080000", "000000", "0000"}))) == "short_chunk@0 short_chunk@1 short_chunk@2");
}

TEST_CASE("behind a gap no more chunks are kept than the limit; more come too early, and are wanted again") {
  constexpr std::size_t kKept = 1024;
  constexpr std::size_t kSize = kKept + 100;
  const auto chunk = [](char head, std::size_t number) {
    const std::string varint{static_cast<char>((number & 0x7FU) | 0x80U), static_cast<char>(number >> 7U)};
    return std::string(1, head) + varint;
  };
  const std::string message(kSize, 'm');
  const std::uint16_t crc = digest::crc16(0, as_bytes(message));
  Assembler assembler(kMaxMessageBytes);
  const auto take = [&](const std::string& bytes) { return assembler.take("d", as_bytes(bytes), 1).has_value(); };
  CHECK_FALSE(take(chunk('\x48', kSize) + "m"));
  for (std::size_t offset = 2; offset < kSize; ++offset) CHECK_FALSE(take(chunk('\xC0', offset) + "m"));
  CHECK_FALSE(take(chunk('\x80', kSize) + static_cast<char>(crc & 0xFFU) + static_cast<char>(crc >> 8U)));
  CHECK_FALSE(take(chunk('\xC0', 1) + "m"));
  for (std::size_t offset = 2 + kKept; offset + 1 < kSize; ++offset) CHECK_FALSE(take(chunk('\xC0', offset) + "m"));
  CHECK(take(chunk('\xC0', kSize - 1) + "m"));
}

TEST_CASE("memory of many devices is bounded together, and what is done gives way without a fault") {
  Assembler assembler(100);
  const std::string begin = from_hex("4850") + std::string(40, 'x');
  for (const std::string_view device : {"a", "b", "c"}) assembler.take(device, as_bytes(begin), 1);
  const auto faults = assembler.take_faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].device == "a");
  CHECK(faults[0].fault == Fault{FaultKind::kIncomplete, 1, 40, 80});
  CHECK(assembler.counts().lost == 1);
  CHECK(assembler.counts().chunks == 3);
}

TEST_CASE("devices that were silent longest are counted together in the end") {
  Assembler assembler(1000);
  const std::string chunk = from_hex("08024156a5");
  for (std::size_t i = 0; i < Assembler::kMaxDevices + 10; ++i) assembler.take(std::to_string(i), as_bytes(chunk), i);
  std::size_t devices = 0;
  std::uint64_t others = 0;
  assembler.report([&](std::string_view name, const DeviceCounts& counts) {
    ++devices;
    if (name == "*") others = counts.chunks;
  });
  CHECK(devices == Assembler::kMaxDevices + 1);
  CHECK(others == 10);
  CHECK(assembler.counts().chunks == Assembler::kMaxDevices + 10);
}

TEST_CASE("faults in words") {
  CHECK(print_fault({FaultKind::kGap, 1, 54, 36}) == "gap: offset 54 where 36 was expected");
  CHECK(print_fault({FaultKind::kCrcMismatch, 1, 0xE431, 0x31}) == "crc_mismatch: e431, the message says 0031");
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    const std::string text = print_fault({static_cast<FaultKind>(i), 1, 2, 3});
    CHECK(text.size() > text.find(':') + 10);
  }
  CHECK(is_loss(FaultKind::kIncomplete));
  CHECK_FALSE(is_loss(FaultKind::kDuplicate));
}

}  // namespace
}  // namespace fieldpipe::memfault
