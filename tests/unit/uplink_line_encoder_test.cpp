// SPDX-License-Identifier: MIT
#include <string>
#include <string_view>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "uplink/line_encoder.h"

using namespace fieldpipe;
using uplink::Form;

namespace {

struct Lines {
  explicit Lines(uplink::LineSettings settings) : encoder(std::move(settings)) {}

  // What a line becomes, without its LF, or why it is refused.
  std::string operator()(std::string_view line) {
    std::string out = "before|";
    const auto encoded = encoder.encode(line, 1700000000000, out);
    REQUIRE(out.starts_with("before|"));
    out.erase(0, 7);
    if (!encoded) {
      CHECK(out.empty());
      return encoded.error().what;
    }
    if (out.empty()) return out;
    REQUIRE(out.back() == '\n');
    out.pop_back();
    return out;
  }

  uplink::LineEncoder encoder;
};

std::string point(std::uint32_t sequence, std::string_view columns) {
  return fmt::format(R"({{"stream":"s","sequence":{},"timestamp":1700000000000,{}}})", sequence, columns);
}

}  // namespace

TEST_CASE("a line that has to say what the others are is UTF-8, or none can be read") {
  for (const Form form : {Form::kAuto, Form::kCsv}) {
    Lines lines({form, "s"});
    CHECK(lines("Z\xe4hler,b") == "not UTF-8");
    CHECK(lines.encoder.unusable());
  }
  for (const Form form : {Form::kPairs, Form::kNumbers}) {
    Lines lines({form, "s"});
    CHECK(lines("a=\xff") == (form == Form::kPairs ? "not UTF-8" : "'a=\\xff' is no number"));
    CHECK(!lines.encoder.unusable());
  }
  Lines lines({Form::kCsv, "s"});
  CHECK(lines("a,b").empty());
  CHECK(lines("1,\xff") == "not UTF-8");
  CHECK(!lines.encoder.unusable());
}

TEST_CASE("a NUL byte ends what calls itself text, and is a fault of its line where the form is given") {
  using namespace std::string_view_literals;
  for (const auto line : {"1\0"sv, "\0"sv, "a=1 b=\0"sv, "a,\0"sv, "{\"a\":1}\0"sv, "\0fp1\0\0\0\1a"sv}) {
    Lines lines({Form::kAuto, "s"});
    CHECK(lines(line) == "holds a NUL byte, so this is no text");
    CHECK(lines.encoder.unusable());
    for (const Form form : {Form::kJson, Form::kPairs, Form::kCsv, Form::kNumbers}) {
      Lines given({form, "s"});
      CHECK(given(line) == "holds a NUL byte");
      CHECK(given.encoder.unusable() == (form == Form::kCsv));  // a header
    }
  }
  Lines lines({Form::kAuto, "s"});
  CHECK(lines("1") == point(1, "\"value\":1"));
  CHECK(lines("2\0"sv) == "holds a NUL byte, so this is no text");
}

TEST_CASE("plain numbers keep their text and are counted from 1") {
  Lines lines({Form::kAuto, "s", "value"});
  CHECK(lines("22.50") == point(1, R"("value":22.50)"));
  CHECK(lines(" -1E+05\r") == point(2, R"("value":-1E+05)"));
  CHECK(lines("") == "");
  CHECK(lines("warm") == "'warm' is no number");
  CHECK(lines("+1") == "'+1' is no number");
  CHECK(lines("007") == "'007' is no number");
  CHECK(lines("1 2") == "'1 2' is no number");
  CHECK(lines("true") == "'true' is no number");
  CHECK(lines("18446744073709551616") == point(3, R"("value":18446744073709551616)"));
  CHECK(lines(std::string(262144, '1')).ends_with("more than the limit of 256KiB"));
  CHECK(lines(R"({"a":1})") == point(4, R"("a":1)"));
}

TEST_CASE("numbers without a stream are a fault of the call") {
  Lines lines({Form::kAuto, "", "value"});
  CHECK(lines("1") == "no stream for plain numbers");
  CHECK(lines.encoder.unusable());
}

TEST_CASE("JSON lines: what is missing is filled in, what is there counts") {
  Lines lines({Form::kAuto, "s", "value"});
  CHECK(lines(R"({"a": 1.0})") == point(1, R"("a":1.0)"));
  CHECK(lines(R"({"sequence":9,"a":2})") == point(9, R"("a":2)"));
  CHECK(lines(R"({"a":3,"timestamp":5})") == R"({"stream":"s","sequence":2,"timestamp":5,"a":3})");
  CHECK(lines(R"({"stream":"t","a":3,"timestamp":5})") == R"({"stream":"t","sequence":1,"timestamp":5,"a":3})");
  CHECK(lines(R"({"stream":"t","timestamp":6})") == R"({"stream":"t","sequence":2,"timestamp":6})");
  CHECK(lines(R"({"sequence":1.0})") == "sequence: must be an integer from 0 to 4294967295, is 1.0");
  CHECK(lines(R"({"a":1,})") != point(3, R"("a":1)"));
  CHECK(lines(R"({"stream":"a/b"})") == "stream name 'a/b' holds '/'");
  Lines nameless({Form::kJson, "", "value"});
  CHECK(nameless(R"({"a":1})") == "no stream");
  CHECK(!nameless.encoder.unusable());
  CHECK(nameless("[1]") == "must be an object, is an array");
  CHECK(nameless("22") == "JSON text must be an object or an array");
}

TEST_CASE("pairs: JSON values stay, anything else is a string") {
  Lines lines({Form::kAuto, "s", "value"});
  CHECK(lines(R"(temp=22.50 ok=true  name=kitchen note="two words\n" none= list=[1,2] odd=1.)") ==
        point(1, R"("temp":22.50,"ok":true,"name":"kitchen","note":"two words\n","none":"","list":[1,2],"odd":"1.")"));
  CHECK(lines(R"(stream=t sequence=7 timestamp=8 a=1)") == R"({"stream":"t","sequence":7,"timestamp":8,"a":1})");
  CHECK(lines("a=b=c") == point(2, R"("a":"b=c")"));
  CHECK(lines("22") == "'22' is not key=value");
  CHECK(lines("a=1 =2") == "'=2' is not key=value");
  CHECK(lines("a=1 a=2") == "a: key stands twice");
  CHECK(lines(R"(a="x"y)") == "a: 'y' behind the closing quote");
  CHECK(lines("sequence=1.5") == "sequence: must be an integer from 0 to 4294967295, is 1.5");
  CHECK(lines("timestamp=-1") == "timestamp: must be an integer from 0 to 18446744073709551615, is -1");
  CHECK(lines("stream=a#") == "stream name 'a#' holds '#'");
  CHECK(lines(R"(stream="t\u0031 \"x\"" sequence=1)") ==
        R"({"stream":"t1 \"x\"","sequence":1,"timestamp":1700000000000})");
  CHECK(lines(R"(stream="a\u002fb")") == "stream name 'a/b' holds '/'");
  CHECK(lines("a=\xff") == "not UTF-8");
}

TEST_CASE("CSV: the first line names the columns") {
  Lines lines({Form::kAuto, "s", "value"});
  CHECK(lines("time of day, temp ,\"said \"\"x\"\"\",timestamp") == "");
  CHECK(lines("noon,21.0,\"a,b\",5") ==
        R"({"stream":"s","sequence":1,"timestamp":5,"time of day":"noon","temp":21.0,"said \"x\"":"a,b"})");
  CHECK(lines(",,,") == R"({"stream":"s","sequence":2,"timestamp":1700000000000})");
  CHECK(lines("\"\",\"1\",true,") == point(3, R"("time of day":"","temp":"1","said \"x\"":true)"));
  CHECK(lines("1,2,3") == "3 cells under a header of 4");
  CHECK(lines("1,2,3,4,5") == "5 cells under a header of 4");
  CHECK(lines("1,\"2,3,4") == "cell without its closing quote");
  CHECK(lines("1,\"2\"3,4,5") == "'3,4,5' behind a cell's closing quote");
}

TEST_CASE("a byte order mark before the first line is passed over, whatever the form") {
  CHECK(Lines({Form::kAuto, "s", "value"})("\xEF\xBB\xBF{\"a\":1}") == point(1, R"("a":1)"));
  CHECK(Lines({Form::kAuto, "s", "value"})("\xEF\xBB\xBF"
                                           "22.5\r") == point(1, R"("value":22.5)"));
  CHECK(Lines({Form::kAuto, "s", "value"})("\xEF\xBB\xBF"
                                           "a=1") == point(1, R"("a":1)"));
  Lines csv({Form::kAuto, "s", "value"});
  CHECK(csv("\xEF\xBB\xBF\"a\",b") == "");
  CHECK(csv("\xEF\xBB\xBF"
            "1,2") == point(1,
                            "\"a\":\"\xEF\xBB\xBF"
                            "1\",\"b\":2"));
}

TEST_CASE("a header that is none ends the run") {
  const auto refusal = [](std::string_view header, std::string_view stream) {
    Lines lines({Form::kCsv, std::string(stream), "value"});
    const std::string why = lines(header);
    CHECK(lines.encoder.unusable());
    return why;
  };
  CHECK(refusal("a,,b", "s") == "header: name 2 is empty");
  CHECK(refusal("a,b,a", "s") == "header: 'a' stands twice");
  CHECK(refusal("a,\"b", "s") == "header: cell without its closing quote");
  CHECK(refusal("a,b", "") == "no stream: the header names none");
  Lines lines({Form::kCsv, "", "value"});
  CHECK(lines("stream,a") == "");
  CHECK(lines("t,1") == R"({"stream":"t","sequence":1,"timestamp":1700000000000,"a":1})");
  CHECK(lines(",1") == "no stream");
}

TEST_CASE("--from holds against what a line looks like") {
  CHECK(Lines({Form::kNumbers, "s", "value"})("{\"a\":1}") == "'{\"a\":1}' is no number");
  Lines csv({Form::kCsv, "s", "value"});
  CHECK(csv("a=1") == "");
  CHECK(csv("{1}") == point(1, R"("a=1":"{1}")"));
}

TEST_CASE("a stream's counter goes on behind the last one; their number is bounded") {
  Lines lines({Form::kAuto, "", "value"});
  for (std::size_t i = 0; i < uplink::LineEncoder::kMaxStreams; ++i) {
    CHECK(lines(fmt::format(R"({{"stream":"s{}"}})", i)).find(R"("sequence":1,)") != std::string::npos);
  }
  CHECK(lines(R"({"stream":"more"})") == "stream 'more' without a sequence: 1024 streams have a counter already");
  CHECK(lines(R"({"stream":"more","sequence":3})").starts_with(R"({"stream":"more","sequence":3,)"));
  CHECK(lines(R"({"stream":"s7"})").starts_with(R"({"stream":"s7","sequence":2,)"));
}
