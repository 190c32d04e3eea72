// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cli/option_table.h"
#include "cli/parser.h"

using namespace fieldpipe;
using namespace std::chrono_literals;

namespace {

enum class Colour { kRed, kGreen };

struct Options {
  bool loud = false;
  std::string name = "nobody";
  std::optional<std::string> nick;
  std::vector<std::string> tags;
  int count = 3;
  std::optional<std::uint16_t> port;
  std::chrono::nanoseconds wait = 2s;
  std::size_t room = 64 * 1024;
  Colour colour = Colour::kGreen;
  std::vector<std::string> pair;
};

void declare(cli::OptionTable& table, Options& options) {
  table.flag("loud", options.loud, "shout");
  table.text("name", "NAME", options.name, "who");
  table.text("nick", "NAME", options.nick, "who for friends");
  table.list("tag", "TAG", options.tags, "what");
  table.integer("count", "N", options.count, -1, 10, "how often");
  table.integer<std::uint16_t>("port", "PORT", options.port, 1, 65535, "where");
  table.duration("wait", options.wait, "how long");
  table.size("room", options.room, 1, 1U << 20U, "how much");
  table.choice<Colour>("colour", "COLOUR", options.colour, {{"red", Colour::kRed}, {"green", Colour::kGreen}}, "which");
  table
      .parsed_values("pair", "A B [C]", "what goes together",
                     [&](std::span<const std::string> values) {
                       options.pair.assign(values.begin(), values.end());
                       return Result<void>();
                     })
      .values(2, 3);
}

Result<Options> parsed(const std::vector<std::string>& arguments) {
  Options options;
  cli::OptionTable table;
  declare(table, options);
  const auto done = cli::parse_options(table, arguments, {"tool", [](const std::string&) { return std::nullopt; }, {}});
  if (!done) return tl::make_unexpected(done.error());
  return options;
}

std::string refusal(const std::vector<std::string>& arguments) {
  const auto options = parsed(arguments);
  REQUIRE_FALSE(options);
  CHECK(options.error().code == ErrorCode::kUsage);
  return options.error().hint.empty() ? options.error().what : options.error().what + " | " + options.error().hint;
}

}  // namespace

TEST_CASE("targets keep their defaults and take what is given") {
  const Options defaults = parsed({}).value();
  CHECK(defaults.name == "nobody");
  CHECK_FALSE(defaults.nick);
  CHECK(defaults.wait == 2s);

  const Options given =
      parsed({"--loud", "--name", "A",     "--nick=B", "--tag", "x",        "--tag=y", "--count", "-1", "--port",
              "65535",  "--wait", "500ms", "--room",   "1MiB",  "--colour", "red",     "--pair",  "a",  "b"})
          .value();
  CHECK(given.loud);
  CHECK(given.name == "A");
  CHECK(given.nick == "B");
  CHECK(given.tags == std::vector<std::string>{"x", "y"});
  CHECK(given.count == -1);
  CHECK(given.port == 65535);
  CHECK(given.wait == 500ms);
  CHECK(given.room == 1U << 20U);
  CHECK(given.colour == Colour::kRed);
  CHECK(given.pair == std::vector<std::string>{"a", "b"});
}

TEST_CASE("of an option that does not repeat the last occurrence counts") {
  CHECK(parsed({"--name", "A", "--name", "B"})->name == "B");
  CHECK(parsed({"--loud", "--loud=false"})->loud == false);
}

TEST_CASE("a value that does not fit is named with its limits") {
  CHECK(refusal({"--count", "11"}) == "--count: '11' is not a whole number from -1 to 10");
  CHECK(refusal({"--count", "-2"}) == "--count: '-2' is not a whole number from -1 to 10");
  CHECK(refusal({"--count", "1x"}) == "--count: '1x' is not a whole number from -1 to 10");
  CHECK(refusal({"--port", "0"}) == "--port: '0' is not a whole number from 1 to 65535");
  CHECK(refusal({"--port", "65536"}) == "--port: '65536' is not a whole number from 1 to 65535");
  CHECK(refusal({"--wait", "2"}) == "--wait: '2' is not a duration | a number and us, ms, s, m, h or d: 500ms, 2s, 5m");
  CHECK(refusal({"--room", "0"}) == "--room: 0 is not from 1B to 1MiB");
  CHECK(refusal({"--room", "1048577"}) == "--room: 1048577 is not from 1B to 1MiB");
  CHECK(refusal({"--colour", "gren"}) == "--colour: 'gren' is not one of red, green | did you mean green?");
  CHECK(refusal({"--colour", "blue"}) == "--colour: 'blue' is not one of red, green");
  CHECK(refusal({"--colour="}) == "--colour: '' is not one of red, green");
  CHECK(refusal({"--name=A", "--count=\x1B[2J"}) == "--count: '\\x1b[2J' is not a whole number from -1 to 10");
  CHECK(refusal({"--loud=perhaps"}) == "--loud: 'perhaps' is neither true nor false");
}

TEST_CASE("flags take true and false") {
  for (const auto* yes : {"--loud", "--loud=true", "--loud=1", "--loud=yes", "--loud=on"}) CHECK(parsed({yes})->loud);
  for (const auto* no : {"--loud=false", "--loud=0", "--loud=no", "--loud=off"})
    CHECK_FALSE(parsed({"--loud", no})->loud);
}

TEST_CASE("options with several values") {
  CHECK(parsed({"--pair", "a", "b", "c"})->pair.size() == 3);
  CHECK(parsed({"--pair", "a", "b", "--loud"})->pair == std::vector<std::string>{"a", "b"});
  CHECK(refusal({"--pair", "a"}).starts_with("--pair: "));
}

TEST_CASE("the nearest candidate, if any is near") {
  const std::vector<std::string> known{"--tag", "--topic", "--timeout"};
  CHECK(cli::nearest("--tg", known) == "--tag");
  CHECK(cli::nearest("--tpoic", known) == "--topic");
  CHECK(cli::nearest("--time-out", known) == "--timeout");
  CHECK_FALSE(cli::nearest("--frequency", known));
  CHECK_FALSE(cli::nearest("--tag", std::vector<std::string>{}));
}
