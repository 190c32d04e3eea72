// SPDX-License-Identifier: MIT
#include "cli/run.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>

#include "cli/generate.h"
#include "cli/parser.h"
#include "cli/version.h"

namespace fieldpipe::cli {
namespace {

// A standard stream that was closed at start would be taken by the next file opened, and data would
// go there. A descriptor of the wrong direction keeps the place and makes each use fail (EBADF).
void hold_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) {
      [[maybe_unused]] const int held = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

std::optional<std::string> environment_value(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

// XDG Base Directory Specification 0.8: relative values are ignored.
std::vector<std::string> configuration_files(std::string_view tool) {
  std::vector<std::string> files;
  const auto configured = environment_value("XDG_CONFIG_HOME");
  const auto home = environment_value("HOME");
  if (configured && configured->starts_with('/')) {
    files.push_back(fmt::format("{}/fieldpipe/{}.toml", *configured, tool));
  } else if (home && home->starts_with('/')) {
    files.push_back(fmt::format("{}/.config/fieldpipe/{}.toml", *home, tool));
  }
  files.push_back(fmt::format("/etc/fieldpipe/{}.toml", tool));
  return files;
}

// Answers of a tool about itself go out at once; a failing stdout is an error like any other.
void print_text(std::string_view text, Report& report) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      report.fail({errno == EPIPE ? ErrorCode::kReaderGone : ErrorCode::kIo,
                   fmt::format("stdout: {}", std::generic_category().message(errno)),
                   {},
                   std::nullopt});
      return;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

Invocation::Invocation(const Tool& tool, int argc, char** argv) : tool_(tool) {
  hold_standard_descriptors();
  // Writes to sockets and pipes report EPIPE instead; Report::finish gives the signal its due.
  std::signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i < argc; ++i) arguments_.emplace_back(argv[i]);
}

bool Invocation::prepare(OptionTable& table, Report& report) {
  bool quiet = false;
  bool verbose = false;
  bool help = false;
  bool version = false;
  std::string config;
  std::string generate;
  // mosquitto's clients use these letters for the host, the protocol version and topics.
  const bool letters_free = [&] {
    for (const Option& option : table.options()) {
      if (option.has_letter('h') || option.has_letter('V')) return false;
    }
    return true;
  }();
  table.section("General");
  table.flag("quiet", quiet, "no warnings; errors are still printed");
  Option& verbose_option = table.flag("verbose", verbose, "say on stderr what is being done");
  if (!tool_.own_config) {
    table
        .text("config", "FILE", config,
              tool_.networked ? "read settings from this TOML file and no other" : "read settings from this TOML file")
        .completes(Completes::kFiles);
  }
  Option& help_option = table.flag("help", help, "print this help and exit").command_line_only();
  Option& version_option = table.flag("version", version, "print the version and exit").command_line_only();
  if (letters_free) {
    help_option.letter('h');
    version_option.letter('V');
    verbose_option.letter('v');
  }
  table.text("generate", "KIND", generate, "print the man page sections or a completion script")
      .hidden()
      .command_line_only();

  Surroundings surroundings{std::string(tool_.name), environment_value, {}, !tool_.own_config};
  if (tool_.networked) surroundings.configuration_files = configuration_files(tool_.name);
  const auto parsed = parse_options(table, arguments_, surroundings);
  report.set_quiet(quiet);
  report.set_verbose(verbose);
  if (!parsed) {
    report.fail(parsed.error());
    return false;
  }
  if (help) return print_text(help_text(tool_, table), report), false;
  if (version) return print_text(fmt::format("{} (fieldpipe) {}\n", tool_.name, kVersion), report), false;
  if (!generate.empty()) {
    const auto text = generated_text(tool_, table, generate);
    if (!text) return report.fail(text.error()), false;
    return print_text(*text, report), false;
  }
  return true;
}

void report_bug(Report& report) noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    report.fail({ErrorCode::kBug, fmt::format("internal error: {}", error.what()), "please report it", std::nullopt});
  } catch (...) {
    report.fail({ErrorCode::kBug, "internal error", "please report it", std::nullopt});
  }
}

}  // namespace fieldpipe::cli
