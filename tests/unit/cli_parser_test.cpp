// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cli/option_table.h"
#include "cli/parser.h"
#include "scratch.h"

using namespace fieldpipe;

namespace {

struct Options {
  bool loud = false;
  std::string name = "default";
  std::vector<std::string> tags;
  std::string host;
  int port = 0;
  std::string socket;
  std::string url;
  std::string config;
  std::string once;
  std::string output;
  bool help = false;
  std::vector<std::string> files;
};

struct Call {
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
  std::vector<std::string> files;
};

Result<Options> parsed(const Call& call) {
  Options options;
  cli::OptionTable table;
  table.flag("loud", options.loud, "shout");
  table.text("name", "NAME", options.name, "who").letter('n').environment("PEER_NAME");
  table.list("tag", "TAG", options.tags, "what").letter('t');
  table.text("host", "HOST", options.host, "where").part_of("broker", "host and port");
  table.integer("port", "PORT", options.port, 0, 65535, "where").part_of("broker", "host and port");
  table.text("unix", "PATH", options.socket, "where").part_of("broker", "socket");
  table.text("broker", "URL", options.url, "where").part_of("broker", "url");
  table.text("config", "FILE", options.config, "settings");
  table.text("once", "TEXT", options.once, "said once").command_line_only();
  table.flag("help", options.help, "all of this").command_line_only();
  table.text("output", "FILE", options.output, "where to").completes(cli::Completes::kFiles);
  table.operands("FILE", options.files, "inputs");
  const auto environment = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = call.environment.find(name);
    if (found == call.environment.end()) return std::nullopt;
    return found->second;
  };
  const auto done = cli::parse_options(table, call.arguments, {"a-tool", environment, call.files});
  if (!done) return tl::make_unexpected(done.error());
  return options;
}

std::string refusal(const Call& call, ErrorCode code) {
  const auto options = parsed(call);
  REQUIRE_FALSE(options);
  CHECK(options.error().code == code);
  return options.error().hint.empty() ? options.error().what : options.error().what + " | " + options.error().hint;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("environment names") {
  CHECK(cli::environment_name("fc-encode", "max-bytes") == "FC_ENCODE_MAX_BYTES");
  CHECK(cli::environment_name("mqtt-pub", "topic") == "MQTT_PUB_TOPIC");
}

TEST_CASE("command line over environment over file over default") {
  const Scratch scratch;
  const std::string file = scratch.file("a.toml", "name = \"file\"\nloud = true\n");
  CHECK(parsed({})->name == "default");
  CHECK(parsed({.arguments = {}, .environment = {}, .files = {file}})->name == "file");
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_NAME", "environment"}}, .files = {file}})->name ==
        "environment");
  CHECK(parsed({.arguments = {"--name", "line"}, .environment = {{"A_TOOL_NAME", "environment"}}, .files = {file}})
            ->name == "line");
  CHECK(parsed({.arguments = {"--name="}, .environment = {{"A_TOOL_NAME", "environment"}}, .files = {file}})
            ->name.empty());
  // The tool's own name beats the one that peers' users know, and an empty variable is not set.
  CHECK(parsed({.arguments = {}, .environment = {{"PEER_NAME", "peer"}}, .files = {}})->name == "peer");
  CHECK(parsed({.arguments = {}, .environment = {{"PEER_NAME", "peer"}, {"A_TOOL_NAME", "own"}}, .files = {}})->name ==
        "own");
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_NAME", ""}}, .files = {file}})->name == "file");
  // A flag can be turned off again.
  CHECK(parsed({.arguments = {}, .environment = {}, .files = {file}})->loud);
  CHECK_FALSE(parsed({.arguments = {"--loud=false"}, .environment = {}, .files = {file}})->loud);
  CHECK_FALSE(parsed({.arguments = {}, .environment = {{"A_TOOL_LOUD", "0"}}, .files = {file}})->loud);
}

TEST_CASE("an empty path, as of a variable that a script has not set, is refused") {
  const Scratch scratch;
  const std::string file = scratch.file("a.toml", "output = \"\"\n");
  CHECK(refusal({.arguments = {"--output", ""}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--output: is empty");
  CHECK(refusal({.arguments = {"--output="}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--output: is empty");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {file}}, ErrorCode::kConfig) ==
        file + ": line 1: output: is empty");
  // An empty variable is not set.
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_OUTPUT", ""}}, .files = {}})->output.empty());
}

TEST_CASE("a stronger level replaces a list as a whole") {
  const Scratch scratch;
  const std::string file = scratch.file("a.toml", "tag = [\"a\", \"b\"]\n");
  CHECK(parsed({.arguments = {}, .environment = {}, .files = {file}})->tags == Texts{"a", "b"});
  CHECK(parsed({.arguments = {"-t", "x", "-ty"}, .environment = {}, .files = {file}})->tags == Texts{"x", "y"});
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_TAG", "e"}}, .files = {file}})->tags == Texts{"e"});
}

TEST_CASE("a stronger level replaces a setting as a whole, whatever it is spelled with") {
  const Scratch scratch;
  const std::string file = scratch.file("a.toml", "host = \"h\"\nport = 1\n");
  const Options from_file = parsed({.arguments = {}, .environment = {}, .files = {file}}).value();
  CHECK(from_file.host == "h");
  CHECK(from_file.port == 1);
  const Options socket = parsed({.arguments = {"--unix", "s"}, .environment = {}, .files = {file}}).value();
  CHECK(socket.socket == "s");
  CHECK(socket.host.empty());
  CHECK(socket.port == 0);
  const Options url = parsed({.arguments = {}, .environment = {{"A_TOOL_BROKER", "u"}}, .files = {file}}).value();
  CHECK(url.url == "u");
  CHECK(url.host.empty());
  // One half of an alternative does not borrow the other from a weaker level.
  const Options host = parsed({.arguments = {"--host", "other"}, .environment = {}, .files = {file}}).value();
  CHECK(host.host == "other");
  CHECK(host.port == 0);
}

TEST_CASE("two alternatives at one level contradict each other") {
  const Scratch scratch;
  CHECK(parsed({.arguments = {"--host", "h", "--port", "1"}, .environment = {}, .files = {}}));
  CHECK(refusal({.arguments = {"--host", "h", "--unix", "s"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--unix: cannot go together with --host");
  CHECK(refusal({.arguments = {}, .environment = {{"A_TOOL_UNIX", "s"}, {"A_TOOL_BROKER", "u"}}, .files = {}},
                ErrorCode::kUsage) == "A_TOOL_BROKER: cannot go together with A_TOOL_UNIX");
  const std::string file = scratch.file("a.toml", "unix = \"s\"\nport = 1\n");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {file}}, ErrorCode::kUsage) ==
        file + ": line 2: port: cannot go together with " + file + ": line 1: unix");
}

TEST_CASE("options and operands as POSIX and GNU have them") {
  const Options options =
      parsed({.arguments = {"a", "-nA", "-", "-t", "-", "--", "-n", "--loud", "--"}, .environment = {}, .files = {}})
          .value();
  CHECK(options.name == "A");
  CHECK(options.tags == Texts{"-"});
  CHECK(options.files == Texts{"a", "-", "-n", "--loud", "--"});
  CHECK_FALSE(options.loud);
  CHECK(parsed({.arguments = {"--name", "-x"}, .environment = {}, .files = {}})->name == "-x");
  CHECK(parsed({.arguments = {"--name=[a,b]"}, .environment = {}, .files = {}})->name == "[a,b]");
  CHECK(parsed({.arguments = {"-t", "a,b"}, .environment = {}, .files = {}})->tags == Texts{"a,b"});
  CHECK(parsed({.arguments = {""}, .environment = {}, .files = {}})->files == Texts{""});
}

TEST_CASE("what is not known is named, with what may have been meant") {
  CHECK(refusal({.arguments = {"--nmae", "x"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--nmae: unknown option | did you mean --name?");
  CHECK(refusal({.arguments = {"--nam=x"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--nam: unknown option | did you mean --name?");
  CHECK(refusal({.arguments = {"--frequency"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--frequency: unknown option | --help lists the options");
  CHECK(refusal({.arguments = {"-z"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "-z: unknown option | --help lists the options");
  CHECK(refusal({.arguments = {"--name"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--name: needs a value: NAME");
  CHECK(refusal({.arguments = {"-n"}, .environment = {}, .files = {}}, ErrorCode::kUsage) ==
        "--name: needs a value: NAME");
}

TEST_CASE("help is given whatever the values around it are") {
  CHECK(parsed({.arguments = {"--port", "x", "--help"}, .environment = {{"A_TOOL_PORT", "x"}}, .files = {}}));
  CHECK_FALSE(parsed({.arguments = {"--port", "x"}, .environment = {}, .files = {}}));
}

TEST_CASE("a configuration file that is there but cannot be read is not passed over") {
  const Scratch scratch;
  const std::string folder = scratch.path;
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {folder}}, ErrorCode::kConfig) ==
        folder + ": Is a directory");
  CHECK(refusal({.arguments = {"--config", folder}, .environment = {}, .files = {}}, ErrorCode::kConfig) ==
        folder + ": Is a directory");
  CHECK(refusal({.arguments = {"--config", "/dev/zero"}, .environment = {}, .files = {}}, ErrorCode::kConfig) ==
        "/dev/zero: longer than 1MiB");
  CHECK(parsed({.arguments = {}, .environment = {}, .files = {folder + "/none"}}));
}

TEST_CASE("a wrong variable or file is a matter of configuration") {
  const Scratch scratch;
  CHECK(refusal({.arguments = {}, .environment = {{"A_TOOL_PORT", "x"}}, .files = {}}, ErrorCode::kConfig) ==
        "A_TOOL_PORT: 'x' is not a whole number from 0 to 65535");
  const std::string unknown = scratch.file("unknown.toml", "\nnmae = 1\n");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {unknown}}, ErrorCode::kConfig) ==
        unknown + ": line 2: nmae: unknown key | did you mean name?");
  const std::string value = scratch.file("value.toml", "port = \"x\"\n");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {value}}, ErrorCode::kConfig) ==
        value + ": line 1: port: 'x' is not a whole number from 0 to 65535");
  const std::string line_only = scratch.file("once.toml", "once = \"x\"\n");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {line_only}}, ErrorCode::kConfig) ==
        line_only + ": line 1: once: unknown key | keys are the long option names");
  const std::string broken = scratch.file("broken.toml", "name = \n");
  CHECK(refusal({.arguments = {}, .environment = {}, .files = {broken}}, ErrorCode::kConfig)
            .starts_with(broken + ": line 1: "));
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_ONCE", "x"}}, .files = {}})->once.empty());
}

TEST_CASE("--config excludes the implicit files, of which the first that exists is used alone") {
  const Scratch scratch;
  const std::string first = scratch.file("first.toml", "name = \"first\"\n");
  const std::string second = scratch.file("second.toml", "name = \"second\"\nloud = true\n");
  const std::string third = scratch.file("third.toml", "loud = true\n");
  CHECK(parsed({.arguments = {}, .environment = {}, .files = {first + ".missing", first, second}})->name == "first");
  CHECK_FALSE(parsed({.arguments = {}, .environment = {}, .files = {first, second}})->loud);
  CHECK(parsed({.arguments = {"--config", third}, .environment = {}, .files = {first, second}})->name == "default");
  CHECK(parsed({.arguments = {}, .environment = {{"A_TOOL_CONFIG", second}}, .files = {first}})->name == "second");
  CHECK(refusal({.arguments = {"--config", "/nowhere/a.toml"}, .environment = {}, .files = {first}}, ErrorCode::kConfig)
            .starts_with("/nowhere/a.toml: "));
}
