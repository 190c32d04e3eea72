// SPDX-License-Identifier: MIT
#include "cli/parser.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include <CLI/CLI.hpp>

#include "cli/file.h"
#include "core/text.h"
#include "toml/document.h"

namespace fieldpipe::cli {
namespace {

constexpr std::size_t kMaxConfigurationBytes = std::size_t{1} << 20U;

}  // namespace

std::string environment_name(std::string_view tool, std::string_view option) {
  std::string name = fmt::format("{}_{}", tool, option);
  for (char& c : name) {
    if (c == '-') c = '_';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

// Collects what each level gives, then lets the strongest level of each setting speak.
class Parser {
 public:
  Parser(const OptionTable& table, const Surroundings& surroundings) : table_(table), surroundings_(surroundings) {}

  Result<void> parse(const std::vector<std::string>& arguments) {
    Level command_line{ErrorCode::kUsage, {}};
    Level environment{ErrorCode::kConfig, {}};
    Level file{ErrorCode::kConfig, {}};
    if (auto done = read_command_line(arguments, command_line); !done) return done;
    if (keep_text_only(command_line)) return store(command_line, command_line.given);
    read_environment(environment);
    if (auto done = read_configuration(command_line, environment, file); !done) return done;
    std::vector<std::string> spoken;
    for (Level* level : {&command_line, &environment, &file}) {
      if (auto done = check_contradictions(*level); !done) return done;
      std::vector<Given> heard;
      for (Given& given : level->given) {
        if (std::find(spoken.begin(), spoken.end(), given.option->setting_) == spoken.end())
          heard.push_back(std::move(given));
      }
      if (auto done = store(*level, heard); !done) return done;
      for (const Given& given : heard) spoken.push_back(given.option->setting_);
    }
    return {};
  }

 private:
  // One option set at one level, with the values of all its occurrences there.
  struct Given {
    const Option* option;
    std::vector<std::vector<std::string>> occurrences;
    std::string origin;  // what to call it in a message
  };
  struct Level {
    ErrorCode blame;
    std::vector<Given> given;
  };

  // What may have been meant: on the command line, or among the keys of a file.
  [[nodiscard]] std::vector<std::string> names(bool keys) const {
    std::vector<std::string> all;
    for (const Option& option : table_.options()) {
      if (option.is_operand() || option.hidden_ || (keys && option.command_line_only_)) continue;
      all.push_back(option.spelled());
    }
    return all;
  }

  // --help and --version answer whatever the values around them are, and so do without them.
  static bool keep_text_only(Level& command_line) {
    const auto is_text = [](const Given& given) {
      return given.option->name_ == "help" || given.option->name_ == "version" || given.option->name_ == "generate";
    };
    if (std::none_of(command_line.given.begin(), command_line.given.end(), is_text)) return false;
    std::erase_if(command_line.given, [&](const Given& given) { return !is_text(given); });
    return true;
  }

  Result<void> read_command_line(const std::vector<std::string>& arguments, Level& level) {
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    std::map<const Option*, CLI::Option*> declared;
    for (const Option& option : table_.options()) {
      if (option.is_operand()) continue;
      const std::string spelling =
          option.letter_ != 0 ? fmt::format("-{},{}", option.letter_, option.spelled()) : option.spelled();
      CLI::Option* added = option.is_flag() ? app.add_flag(spelling) : app.add_option(spelling);
      if (!option.is_flag()) {
        added->type_size(option.least_values_, option.most_values_)->expected(1, CLI::detail::expected_max_vector_size);
      }
      // Without allow_extra_args an occurrence takes its own values only, and `[a,b]` stays one text.
      added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
      declared[&option] = added;
    }
    std::vector<std::string> reversed = split_empty_values(arguments);
    std::reverse(reversed.begin(), reversed.end());
    try {
      app.parse(std::move(reversed));
    } catch (const CLI::ParseError& error) {
      return value_missing(error.what());
    }
    if (auto done = take_operands(app.remaining(), level); !done) return done;
    for (const Option& option : table_.options()) {
      if (option.is_operand() || declared.at(&option)->empty()) continue;
      const auto& results = declared.at(&option)->results();
      level.given.push_back({&option, occurrences_of(option, results), option.spelled()});
    }
    return {};
  }

  // What CLI11 could not place, in order, with the `--` that ends the options.
  Result<void> take_operands(const std::vector<std::string>& remaining, Level& level) const {
    const auto operands = std::find_if(table_.options().begin(), table_.options().end(),
                                       [](const Option& option) { return option.is_operand(); });
    bool options_ended = false;
    std::vector<std::vector<std::string>> taken;
    for (const std::string& argument : remaining) {
      if (!options_ended && argument == "--") {
        options_ended = true;
      } else if (!options_ended && argument.size() > 1 && argument.starts_with('-')) {
        return unknown_option(argument);
      } else if (operands == table_.options().end()) {
        return fieldpipe::fail(ErrorCode::kUsage, fmt::format("{}: unexpected operand", printable(argument)),
                               "--help lists the options");
      } else {
        taken.push_back({argument});
      }
    }
    if (!taken.empty()) level.given.push_back({&*operands, std::move(taken), operands->spelled()});
    return {};
  }

  // CLI11 takes `--name=` for an option whose value is the next argument.
  static std::vector<std::string> split_empty_values(const std::vector<std::string>& arguments) {
    std::vector<std::string> split;
    bool options = true;
    for (const std::string& argument : arguments) {
      if (argument == "--") options = false;
      if (options && argument.size() > 3 && argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
        split.push_back(argument.substr(0, argument.size() - 1));
        split.emplace_back();
      } else {
        split.push_back(argument);
      }
    }
    return split;
  }

  static std::vector<std::vector<std::string>> occurrences_of(const Option& option,
                                                              const std::vector<std::string>& results) {
    std::vector<std::vector<std::string>> all;
    const auto size = static_cast<std::size_t>(option.most_values_);
    for (std::size_t i = 0; i < results.size(); i += size) {
      std::vector<std::string> one(results.begin() + static_cast<std::ptrdiff_t>(i),
                                   results.begin() + static_cast<std::ptrdiff_t>(std::min(i + size, results.size())));
      // CLI11 fills an occurrence with fewer values than the most up with an empty one.
      if (option.least_values_ < option.most_values_ && one.back().empty()) one.pop_back();
      all.push_back(std::move(one));
    }
    return all;
  }

  // CLI11's own texts name the option first and end in an example of nothing; ours says what is missing.
  [[nodiscard]] Result<void> value_missing(std::string_view what) const {
    const std::string_view spelled = what.substr(0, what.find_first_of(": "));
    for (const Option& option : table_.options()) {
      if (option.spelled() == spelled) {
        return fieldpipe::fail(ErrorCode::kUsage, fmt::format("{}: needs a value: {}", spelled, option.value_name_));
      }
    }
    return fieldpipe::fail(ErrorCode::kUsage, std::string(what));
  }

  [[nodiscard]] Result<void> unknown_option(std::string_view argument) const {
    const std::string_view name = argument.substr(0, argument.find('='));
    const std::vector<std::string> known = names(false);
    const auto near = name.starts_with("--") ? nearest(name, known) : std::nullopt;
    return fieldpipe::fail(ErrorCode::kUsage, fmt::format("{}: unknown option", printable(name)),
                           near ? fmt::format("did you mean {}?", *near) : "--help lists the options");
  }

  void read_environment(Level& level) const {
    for (const Option& option : table_.options()) {
      if (option.command_line_only_) continue;
      for (const std::string& name : {environment_name(surroundings_.tool, option.name_), option.environment_}) {
        if (name.empty()) continue;
        if (auto value = surroundings_.environment(name); value && !value->empty()) {
          level.given.push_back({&option, {{*std::move(value)}}, name});
          break;
        }
      }
    }
  }

  Result<void> read_configuration(const Level& command_line, const Level& environment, Level& level) const {
    if (!surroundings_.reads_configuration) return {};
    std::vector<std::string> files = surroundings_.configuration_files;
    bool must_exist = false;
    for (const Level* stronger : {&environment, &command_line}) {
      for (const Given& given : stronger->given) {
        if (given.option->name_ != "config") continue;
        files = {given.occurrences.back().front()};
        must_exist = true;
      }
    }
    for (const std::string& path : files) {
      // An implicit file that is there and cannot be read is not passed over: it may say how to keep a connection safe.
      if (!must_exist && ::access(path.c_str(), F_OK) != 0) continue;
      auto text = read_file(path, kMaxConfigurationBytes, ErrorCode::kConfig);
      if (!text) return fieldpipe::fail(ErrorCode::kConfig, std::move(text).error().what);
      return read_settings(path, *text, level);
    }
    return {};
  }

  Result<void> read_settings(const std::string& path, const std::string& text, Level& level) const {
    auto settings = toml::parse_settings(text);
    if (!settings) return tl::make_unexpected(std::move(settings).error().in(path));
    for (toml::Setting& setting : *settings) {
      const auto known = std::find_if(table_.options().begin(), table_.options().end(), [&](const Option& option) {
        return !option.command_line_only_ && option.name_ == setting.key;
      });
      if (known == table_.options().end()) {
        const std::vector<std::string> all = names(true);
        const auto near = nearest("--" + setting.key, all);
        return fieldpipe::fail(
            ErrorCode::kConfig, fmt::format("{}: line {}: {}: unknown key", path, setting.line, printable(setting.key)),
            near ? fmt::format("did you mean {}?", near->substr(2)) : "keys are the long option names");
      }
      level.given.push_back(
          {&*known, std::move(setting.values), fmt::format("{}: line {}: {}", path, setting.line, setting.key)});
    }
    return {};
  }

  static Result<void> check_contradictions(const Level& level) {
    std::map<std::string, const Given*> first;
    for (const Given& given : level.given) {
      if (given.option->alternative_.empty()) continue;
      const auto [place, is_new] = first.emplace(given.option->setting_, &given);
      if (!is_new && place->second->option->alternative_ != given.option->alternative_) {
        return fieldpipe::fail(ErrorCode::kUsage,
                               fmt::format("{}: cannot go together with {}", given.origin, place->second->origin));
      }
    }
    return {};
  }

  static Result<void> store(const Level& level, const std::vector<Given>& heard) {
    for (const Given& given : heard) {
      const Option& option = *given.option;
      const std::size_t first = option.repeats_ || given.occurrences.empty() ? 0 : given.occurrences.size() - 1;
      for (std::size_t i = first; i < given.occurrences.size(); ++i) {
        const auto& values = given.occurrences[i];
        if (values.size() < static_cast<std::size_t>(option.least_values_) ||
            values.size() > static_cast<std::size_t>(option.most_values_)) {
          return fieldpipe::fail(
              level.blame, fmt::format("{}: {} values, must be {}", given.origin, values.size(), option.value_name_));
        }
        // What a script makes of a variable that it has not set: no file has this name, and none is not what was meant.
        if (option.completes_ != Completes::kNothing && std::find(values.begin(), values.end(), "") != values.end()) {
          return fieldpipe::fail(level.blame, fmt::format("{}: is empty", given.origin));
        }
        if (auto stored = option.store_(values); !stored) {
          Error error = std::move(stored).error();
          if (error.code == ErrorCode::kUsage) error.code = level.blame;
          return tl::make_unexpected(std::move(error).in(given.origin));
        }
      }
    }
    return {};
  }

  const OptionTable& table_;
  const Surroundings& surroundings_;
};

Result<void> parse_options(const OptionTable& table, const std::vector<std::string>& arguments,
                           const Surroundings& surroundings) {
  return Parser(table, surroundings).parse(arguments);
}

}  // namespace fieldpipe::cli
