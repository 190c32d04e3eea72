// SPDX-License-Identifier: MIT
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "can/candump.h"
#include "flexconnect/binary.h"
#include "flexconnect/message.h"
#include "flexconnect_vectors.h"

namespace fieldpipe::flexconnect {
namespace {

using can::Frame;
using can::Kind;

struct Reading {
  std::int64_t time_ms;
  unsigned bus;
  Frame frame;
};

struct Decoded {
  std::string token;
  std::vector<Reading> readings;
  std::vector<std::int64_t> point_times;
  bool byte_counts = false;
  std::string error;  // with its offset; what was before it is in `readings`
};

std::string describe(const Error& error) {
  return error.what + (error.offset ? fmt::format(" @{}", *error.offset) : "");
}

Decoded decode(Bytes message) {
  Decoded out;
  auto decoder = BinaryDecoder::open(message);
  if (!decoder) {
    out.error = describe(decoder.error());
    return out;
  }
  out.token = decoder->token();
  for (;;) {
    const auto more = decoder->next_point();
    if (!more) out.error = describe(more.error());
    if (!more || !*more) break;
    out.point_times.push_back(decoder->time_ms());
    Reading reading{decoder->time_ms(), 0, {}};
    while (decoder->next_reading(reading.bus, reading.frame)) out.readings.push_back(reading);
  }
  out.byte_counts = decoder->used_byte_counts();
  return out;
}

std::string encode(std::string_view token, const std::vector<Reading>& readings) {
  BinaryEncoder encoder(token);
  for (const Reading& reading : readings) {
    const std::size_t expected = encoder.size_with(reading.time_ms, reading.bus, reading.frame);
    encoder.add(reading.time_ms, reading.bus, reading.frame);
    CHECK(encoder.finish().size() == expected);
  }
  return std::string(as_text(encoder.finish()));
}

Frame make_frame(std::uint32_t id, std::string_view hex_data, Kind kind = Kind::kClassic) {
  Frame frame{};
  frame.id = id;
  frame.kind = kind;
  const std::string data = from_hex(hex_data);
  std::ranges::copy(as_bytes(data), frame.data.begin());
  frame.length_bytes = static_cast<std::uint8_t>(data.size());
  frame.dlc = can::kFdCodeOfLength[data.size()];
  return frame;
}

// A message of the token "token" and one point of 2021-06-01, from the hex of its readings.
std::string point_message(unsigned count, std::string_view readings) {
  std::string header(4, '\0');
  store_le(static_cast<std::uint16_t>(count), reinterpret_cast<std::byte*>(header.data()));
  store_le(static_cast<std::uint16_t>(kPointHeaderBytes + readings.size() / 2),
           reinterpret_cast<std::byte*>(header.data()) + 2);
  return from_hex("00000005746f6b656ec09f62c779010000") + header + from_hex(readings);
}

std::string error_of(const std::string& message) { return decode(as_bytes(message)).error; }

}  // namespace

TEST_CASE("binary vectors decode, and the canonical ones encode to the same bytes") {
  Unwrapper unwrapper;
  for (const auto& vector : read_vectors("flexconnect-binary.jsonl")) {
    CAPTURE(vector.at("name"));
    const std::string wire = from_hex(vector.at("hex").get<std::string>());
    const auto message = unwrapper.unwrap(as_bytes(wire));
    REQUIRE(message);
    CHECK(message->form == Form::kBinary);
    CHECK(message->compressed == vector.at("compressed").get<bool>());
    if (message->compressed) CHECK(to_hex(message->body) == vector.at("plain_hex").get<std::string>());

    const Decoded decoded = decode(message->body);
    CHECK(decoded.error == "");
    CHECK(decoded.token == vector.at("token").get<std::string>());
    CHECK(decoded.byte_counts == (vector.at("name") == "dlc-as-byte-length"));
    std::size_t taken = 0;
    REQUIRE(decoded.point_times.size() == vector.at("points").size());
    for (std::size_t i = 0; i < decoded.point_times.size(); ++i) {
      const auto& point = vector.at("points")[i];
      CHECK(decoded.point_times[i] == point.at("ts").get<std::int64_t>());
      for (const auto& expected : point.at("readings")) {
        REQUIRE(taken < decoded.readings.size());
        const Reading& reading = decoded.readings[taken++];
        const bool remote = expected.value("rtr", false);
        CHECK(reading.frame.id == expected.at("id"));
        CHECK(reading.frame.extended == expected.at("ext"));
        CHECK(reading.bus == expected.at("bus"));
        CHECK(to_hex(reading.frame.payload()) == expected.at("data").get<std::string>());
        CHECK((reading.frame.kind == Kind::kRemote) == remote);
        // In the vectors it is the raw number, which is a count of bytes there.
        if (decoded.byte_counts) {
          CHECK(reading.frame.length_bytes == expected.at("dlc"));
        } else {
          CHECK(reading.frame.dlc == expected.at("dlc"));
        }
      }
    }
    CHECK(taken == decoded.readings.size());
    if (!vector.at("canonical")) continue;
    CHECK(to_hex(as_bytes(encode(decoded.token, decoded.readings))) == to_hex(message->body));
  }
}

TEST_CASE("candump lines of the vectors make their messages") {
  std::size_t made = 0;
  for (const auto& vector : read_vectors("flexconnect-binary.jsonl")) {
    if (!vector.contains("from_lines")) continue;
    CAPTURE(vector.at("name"));
    BinaryEncoder encoder(vector.at("token").get<std::string>());
    can::CandumpLine parsed;
    for (const auto& line : vector.at("from_lines")) {
      const std::string text = line;
      REQUIRE(can::parse_candump(text, parsed) == can::LineClass::kFrame);
      const std::string interface(parsed.interface);
      unsigned bus = static_cast<unsigned>(interface.back() - '0');
      if (vector.contains("options")) bus = vector.at("options").at("bus").at(interface);
      encoder.add(parsed.time_ns / 1'000'000, bus, parsed.frame);
    }
    const std::string plain = vector.at(vector.at("compressed").get<bool>() ? "plain_hex" : "hex");
    CHECK(to_hex(encoder.finish()) == plain);
    ++made;
  }
  CHECK(made > 10);
}

TEST_CASE("binary vectors that are bad are refused, each with its reason") {
  const std::map<std::string, std::string> reasons{
      {"empty", "empty message @0"},
      {"short-token-length", "message of 3 bytes, its token length alone takes 4 @0"},
      {"token-past-end", "token length of 20 bytes, only 5 follow @0"},
      {"token-length-little-endian", "token length of 83886080 bytes, only 23 follow @0"},
      {"token-length-max", "token length of 4294967295 bytes, only 5 follow @0"},
      {"length-below-header", "point length 11 is below that of its header, 12 @9"},
      {"bytes-left-in-point", "point with a count of 0 readings has 5 bytes more @21"},
      {"count-too-small", "point with a count of 1 readings has 6 bytes more @27"},
      {"count-too-large", "point with a count of 3 readings ends after 2 @33"},
      {"data-past-point", "reading of 8 data bytes has only 4 left in its point @21"},
      {"dlc-above-15", "dlc 19 of a reading is no length code (0 to 15) @21"},
      {"trailing-bytes", "5 bytes behind the last point, the header of a point takes 12 @27"},
      {"fc-not-gzip", "damaged gzip stream: incorrect header check @3"},
      {"fc-gzip-cut", "gzip stream is cut after 78 bytes @79"},
      {"fc-gzip-crc", "damaged gzip stream: incorrect data check @87"},
      {"fc-gzip-trailing", "5 bytes after the gzip stream @91"},
      {"fc-nested", "message is compressed twice"},
      {"hex-text", "neither a binary message nor JSON: '0000000e70726f766964...' @0"},
  };
  Unwrapper unwrapper;
  for (const auto& vector : read_vectors("flexconnect-binary-bad.jsonl")) {
    CAPTURE(vector.at("name"));
    const std::string wire = from_hex(vector.at("hex").get<std::string>());
    const auto message = unwrapper.unwrap(as_bytes(wire));
    const Decoded decoded = message ? decode(message->body) : Decoded{{}, {}, {}, false, describe(message.error())};
    REQUIRE(reasons.contains(vector.at("name")));
    CHECK(decoded.error == reasons.at(vector.at("name")));
    // Only what came before the broken point is given.
    CHECK(decoded.readings.size() == (vector.at("name") == "trailing-bytes" ? 1 : 0));
  }
  const std::string hex_text = "0000000e";
  CHECK(BinaryDecoder::open(as_bytes(hex_text)).error().hint == "the message may be hex text");
}

TEST_CASE("the binary example of the guide comes out byte for byte") {
  const std::string message = encode("provided_token", {{1'622'547'800'000, 1, make_frame(0x123, "0102030405060708")},
                                                        {1'622'547'800'000, 1, make_frame(0x456, "AABBCCDD")},
                                                        {1'622'547'800'100, 2, make_frame(0x789, "112233445566")}});
  CHECK(to_hex(as_bytes(message)) == read_vectors("flexconnect-binary.jsonl").front().at("hex").get<std::string>());
}

TEST_CASE("frames are written with length codes, bit 31 and padding") {
  const auto reading_of = [](unsigned bus, const Frame& frame) {
    const std::string message = encode("", {{0, bus, frame}});
    return to_hex(as_bytes(message).subspan(kTokenLengthBytes + kPointHeaderBytes));
  };
  CHECK(reading_of(0, make_frame(0x7FF, "")) == "ff07000000");
  CHECK(reading_of(7, make_frame(0x1, "AA")) == "01000000e1aa");
  Frame extended = make_frame(0x1, "AA");
  extended.extended = true;
  CHECK(reading_of(0, extended) == "0100008001aa");
  CHECK(reading_of(0, make_frame(0x1, "112233445566778899", Kind::kFd)) == "0100000009112233445566778899000000");
  CHECK(reading_of(0, make_frame(0x1, std::string(66, 'A'), Kind::kFd)) ==
        std::string("010000000e").append(66, 'a').append(30, '0'));
  Frame raw_code = make_frame(0x1, "1122334455667788");
  raw_code.dlc = 15;
  CHECK(reading_of(0, raw_code) == "01000000081122334455667788");
  CHECK(is_data_frame(raw_code));
  CHECK(is_data_frame(make_frame(1, "", Kind::kFd)));
  for (const Kind kind : {Kind::kRemote, Kind::kError, Kind::kXl}) CHECK_FALSE(is_data_frame(make_frame(1, "", kind)));
}

TEST_CASE("points hold consecutive frames of one millisecond as far as 16 bits go") {
  std::vector<Reading> readings;
  const auto times = [&] { return decode(as_bytes(encode("t", readings))).point_times; };
  for (const std::int64_t time_ms : {5, 5, 6, 5, 5}) readings.push_back({time_ms, 0, make_frame(1, "00")});
  CHECK(times() == std::vector<std::int64_t>{5, 6, 5});
  // 12 + 5040 * 13 = 65532.
  readings.assign(5040, {9, 0, make_frame(1, "1122334455667788")});
  CHECK(times() == std::vector<std::int64_t>{9});
  readings.push_back(readings.front());
  CHECK(times() == std::vector<std::int64_t>{9, 9});
  // 12 + 13104 * 5 = 65532.
  readings.assign(13'105, {9, 0, make_frame(1, "")});
  CHECK(times() == std::vector<std::int64_t>{9, 9});
}

TEST_CASE("an encoder begins again with the same token") {
  BinaryEncoder encoder("t");
  CHECK(encoder.empty());
  CHECK(to_hex(encoder.finish()) == "0000000174");
  encoder.add(1, 0, make_frame(1, "00"));
  CHECK_FALSE(encoder.empty());
  const std::string first(as_text(encoder.finish()));
  encoder.clear();
  CHECK(encoder.empty());
  CHECK(encoder.size_with(1, 0, make_frame(1, "00")) == first.size());
  encoder.add(1, 0, make_frame(1, "00"));
  CHECK(as_text(encoder.finish()) == first);
}

TEST_CASE("identifiers and kinds as a decoder takes them") {
  const auto decode_one = [](std::string_view reading) {
    const Decoded decoded = decode(as_bytes(point_message(1, reading)));
    REQUIRE(decoded.error == "");
    REQUIRE(decoded.readings.size() == 1);
    return decoded.readings.front().frame;
  };
  CHECK_FALSE(decode_one("ff07000000").extended);
  CHECK(decode_one("0008000000").extended);
  CHECK(decode_one("0008000000").id == 0x800);
  CHECK(decode_one("0100008000").extended);
  CHECK(decode_one("0100008000").id == 1);
  CHECK(decode_one("2301004008").kind == Kind::kRemote);
  CHECK(decode_one("2301004008").length_bytes == 8);
  CHECK(decode_one("230100400e").dlc == 14);
  CHECK(decode_one("230100400e").length_bytes == 8);
  CHECK(decode_one("04000020080008000000000000").kind == Kind::kError);
  CHECK(decode_one("04000020080008000000000000").id == 4);
  CHECK(decode_one("01000000081122334455667788").kind == Kind::kClassic);
  CHECK(decode_one("0100000009112233445566778899000000").kind == Kind::kFd);
}

TEST_CASE("byte counts are accepted only where the length codes do not fit and they do") {
  // 24 bytes by code, 12 by count.
  const std::string counted = point_message(1, std::string("010000000c").append(24, 'b'));
  Decoded decoded = decode(as_bytes(counted));
  CHECK(decoded.error == "");
  CHECK(decoded.byte_counts);
  CHECK(decoded.readings.front().frame.length_bytes == 12);
  CHECK(decoded.readings.front().frame.dlc == 9);
  // A length that is none of CAN FD, above all codes.
  decoded = decode(as_bytes(point_message(1, std::string("0100000011").append(34, 'b'))));
  CHECK(decoded.error == "");
  CHECK(decoded.readings.front().frame.length_bytes == 17);
  // One byte less or more fits neither.
  CHECK(error_of(point_message(1, std::string("010000000c").append(22, 'b'))) ==
        "reading of 24 data bytes has only 11 left in its point @21");
  CHECK(error_of(point_message(1, std::string("010000000c").append(26, 'b'))) ==
        "reading of 24 data bytes has only 13 left in its point @21");
  CHECK(error_of(point_message(1, "0100004013")) == "dlc 19 of a reading is no length code (0 to 15) @21");
  // A point of codes after one of counts is read by codes again.
  decoded = decode(as_bytes(counted + point_message(1, std::string("0100000009").append(24, 'c')).substr(9)));
  CHECK(decoded.error == "");
  CHECK(decoded.readings.back().frame.length_bytes == 12);
  CHECK(decoded.readings.back().frame.dlc == 9);
}

TEST_CASE("hostile point headers") {
  CHECK(error_of(from_hex("00000000c09f62c7790100000000ffff")) ==
        "point length 65535 runs past the end of the message, 12 bytes are left @4");
  CHECK(error_of(from_hex("00000000c09f62c77901000000000000")) == "point length 0 is below that of its header, 12 @4");
  CHECK(error_of(from_hex("0000000000000000000000800000"
                          "0c00")) == "point time of 9223372036854775808 ms is beyond 2^63-1 @4");
  CHECK(error_of(from_hex("00000000c09f62c779010000ffff0c00")) ==
        "point with a count of 65535 readings ends after 0 @16");
}

TEST_CASE("a message cut at any byte gives whole points only") {
  std::vector<Reading> readings;
  for (unsigned i = 0; i < 12; ++i) {
    readings.push_back({i / 3, i % 8, make_frame(i, std::string_view("112233445566778899AABBCC").substr(0, 2 * i))});
  }
  const std::string message = encode("token", readings);
  for (std::size_t size = 0; size < message.size(); ++size) {
    const Decoded decoded = decode(as_bytes(message).first(size));
    // Between points a message cannot be told from a shorter one.
    const bool whole = size >= 9 && decoded.error.empty();
    CHECK(decoded.readings.size() % 3 == 0);
    CHECK(decoded.readings.size() == 3 * decoded.point_times.size());
    if (whole) CHECK(encode("token", decoded.readings) == message.substr(0, size));
  }
}

}  // namespace fieldpipe::flexconnect
