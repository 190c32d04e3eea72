// SPDX-License-Identifier: MIT
// The option table: what a user can type. Parser, --help, man page sections and completions all
// come from it.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/result.h"
#include "core/text.h"

namespace fieldpipe::cli {

// What a value is the path of.
enum class Completes : std::uint8_t { kNothing, kFiles, kDirectories };

// One option, or the operands. Made by OptionTable; the methods refine it and return it again.
class Option {
 public:
  // The short form. Every short option has a long one.
  Option& letter(char value) { return letter_ = value, *this; }

  // An environment variable besides <TOOL>_<LONG_OPTION>, one that users of a peer know.
  Option& environment(std::string name) { return environment_ = std::move(name), *this; }

  // The value is a path, which is not empty, and which a shell offers.
  Option& completes(Completes what) { return completes_ = what, *this; }

  // Words that a shell offers besides paths.
  Option& suggests(std::vector<std::string> words) { return suggested_ = std::move(words), *this; }

  // A path of files whose names end like this, as ".dbc".
  Option& completes_files(std::string suffix) { return suffix_ = std::move(suffix), completes(Completes::kFiles); }

  // What --help and the page say is used without the option, where the target's value cannot tell.
  Option& default_text(std::string text) { return default_text_ = std::move(text), *this; }

  // Every occurrence counts; without this the last one does.
  Option& repeats() { return repeats_ = true, *this; }

  // Takes `least` to `most` values an occurrence.
  Option& values(int least, int most) { return least_values_ = least, most_values_ = most, *this; }

  // Options of one `setting` say one thing together: a stronger level (command line, environment,
  // file) replaces all of it. Two different `alternative`s at one level contradict each other (64);
  // options of one alternative go together, as a host and its port do.
  Option& part_of(std::string setting, std::string alternative) {
    return setting_ = std::move(setting), alternative_ = std::move(alternative), *this;
  }

  // Not in --help, man page and completions.
  Option& hidden() { return hidden_ = true, *this; }

  // Not settable by environment or configuration file.
  Option& command_line_only() { return command_line_only_ = true, *this; }

  [[nodiscard]] bool has_letter(char letter) const { return letter_ == letter; }
  [[nodiscard]] bool is_flag() const { return value_name_.empty(); }
  [[nodiscard]] bool is_operand() const { return name_.empty(); }
  [[nodiscard]] std::string spelled() const { return is_operand() ? value_name_ : "--" + name_; }

 private:
  friend class OptionTable;
  friend class Parser;
  friend class Generator;

  std::string name_;  // long name without dashes; empty for the operands
  char letter_ = 0;
  std::string value_name_;  // in capitals; empty for a flag
  std::string help_;        // one sentence: lower case, no period
  std::string section_;
  std::vector<std::string> choices_;
  Completes completes_ = Completes::kNothing;
  std::string suffix_;  // of the files it completes; empty: any
  std::vector<std::string> suggested_;
  std::string default_text_;
  std::string environment_;
  std::string setting_;
  std::string alternative_;
  bool repeats_ = false;
  bool hidden_ = false;
  bool command_line_only_ = false;
  int least_values_ = 1;
  int most_values_ = 1;
  // Stores one occurrence: its values, or "true"/"false" for a flag.
  std::function<Result<void>(std::span<const std::string>)> store_;
};

// The options of one tool. Targets must outlive the table; they hold the defaults when an option is
// declared, and the values after parsing.
class OptionTable {
 public:
  // Heading of the options that follow.
  void section(std::string title) { section_ = std::move(title); }

  // On or off; `--name=false` turns off what a weaker level turned on.
  Option& flag(std::string name, bool& target, std::string help);

  Option& text(std::string name, std::string value_name, std::string& target, std::string help);
  Option& text(std::string name, std::string value_name, std::optional<std::string>& target, std::string help);

  // One element an occurrence.
  Option& list(std::string name, std::string value_name, std::vector<std::string>& target, std::string help);

  // A whole number from `least` to `most`.
  template <std::integral T>
  Option& integer(std::string name, std::string value_name, T& target, T least, T most, std::string help) {
    Option& option = parsed(
        std::move(name), std::move(value_name), std::move(help),
        [&target, least, most](std::string_view text) { return assign(read_integer(text, least, most), target); });
    return option.default_text(fmt::format("{}", target));
  }

  // The same, without a default.
  template <std::integral T>
  Option& integer(std::string name, std::string value_name, std::optional<T>& target, T least, T most,
                  std::string help) {
    return parsed(
        std::move(name), std::move(value_name), std::move(help),
        [&target, least, most](std::string_view text) { return assign(read_integer(text, least, most), target); });
  }

  // A duration as core's parse_duration reads it; `bare_unit` as there.
  Option& duration(std::string name, std::chrono::nanoseconds& target, std::string help, std::string bare_unit = {});
  Option& duration(std::string name, std::optional<std::chrono::nanoseconds>& target, std::string help,
                   std::string bare_unit = {});

  // A size as core's parse_size reads it, from `least` to `most` bytes.
  template <std::unsigned_integral T>
  Option& size(std::string name, T& target, std::type_identity_t<T> least, std::type_identity_t<T> most,
               std::string help) {
    return parsed(std::move(name), "SIZE", std::move(help),
                  [&target, least, most](std::string_view text) {
                    return assign(read_size<T>(text, least, most), target);
                  })
        .default_text(print_size(target));
  }

  // The same, without a default.
  template <std::unsigned_integral T>
  Option& size(std::string name, std::optional<T>& target, std::type_identity_t<T> least, std::type_identity_t<T> most,
               std::string help) {
    return parsed(std::move(name), "SIZE", std::move(help), [&target, least, most](std::string_view text) {
      return assign(read_size<T>(text, least, most), target);
    });
  }

  // One of a fixed set of words.
  template <typename T>
  Option& choice(std::string name, std::string value_name, T& target,
                 std::initializer_list<std::pair<std::string_view, T>> choices, std::string help) {
    std::vector<std::pair<std::string, T>> known(choices.begin(), choices.end());
    std::vector<std::string> words;
    std::string fallback;
    for (const auto& [word, value] : known) {
      words.push_back(word);
      if (value == target) fallback = word;
    }
    Option& option = parsed(std::move(name), std::move(value_name), std::move(help),
                            [&target, known = std::move(known), words](std::string_view text) -> Result<void> {
                              for (const auto& [word, value] : known) {
                                if (word == text) return target = value, Result<void>();
                              }
                              return unknown_choice(text, words);
                            });
    option.choices_ = std::move(words);
    return option.default_text(std::move(fallback));
  }

  // Anything else: `store` reads one value and fails with kUsage.
  Option& parsed(std::string name, std::string value_name, std::string help,
                 std::function<Result<void>(std::string_view)> store);

  // The same with several values an occurrence; give their number with Option::values.
  Option& parsed_values(std::string name, std::string value_name, std::string help,
                        std::function<Result<void>(std::span<const std::string>)> store);

  // What may stand on the command line without an option: `[value_name]...`.
  Option& operands(std::string value_name, std::vector<std::string>& target, std::string help);

  [[nodiscard]] const std::deque<Option>& options() const { return options_; }

 private:
  template <typename T, typename Target>
  static Result<void> assign(Result<T> value, Target& target) {
    if (!value) return fieldpipe::fail(std::move(value));
    target = *std::move(value);
    return {};
  }
  template <std::integral T>
  static Result<T> read_integer(std::string_view text, T least, T most) {
    const auto value = parse_integer<T>(text);
    if (!value || *value < least || *value > most) {
      return fieldpipe::fail(ErrorCode::kUsage,
                             fmt::format("'{}' is not a whole number from {} to {}", printable(text), least, most));
    }
    return *value;
  }
  template <std::unsigned_integral T>
  static Result<T> read_size(std::string_view text, T least, T most) {
    auto bytes = parse_size(text);
    if (!bytes) return fieldpipe::fail(std::move(bytes));
    if (*bytes < least || *bytes > most) {
      return fieldpipe::fail(ErrorCode::kUsage, fmt::format("{} is not from {} to {}", printable(text),
                                                            print_size(least), print_size(most)));
    }
    return static_cast<T>(*bytes);
  }
  static Result<void> unknown_choice(std::string_view text, std::span<const std::string> choices);
  Option& add(std::string name, std::string value_name, std::string help);

  std::string section_;
  std::deque<Option> options_;  // a deque, because declare() holds on to what it returns
};

// Of `candidates` the one nearest to `text` by edit distance, or nothing when none is near.
std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates);

}  // namespace fieldpipe::cli
