// SPDX-License-Identifier: MIT
#include "cli/option_table.h"

#include <algorithm>
#include <numeric>

namespace fieldpipe::cli {
namespace {

// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(1, text.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(text, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

Option& OptionTable::add(std::string name, std::string value_name, std::string help) {
  Option& option = options_.emplace_back();
  option.name_ = std::move(name);
  option.value_name_ = std::move(value_name);
  option.help_ = std::move(help);
  option.section_ = section_;
  option.setting_ = option.name_;
  return option;
}

Option& OptionTable::parsed_values(std::string name, std::string value_name, std::string help,
                                   std::function<Result<void>(std::span<const std::string>)> store) {
  Option& option = add(std::move(name), std::move(value_name), std::move(help));
  option.store_ = std::move(store);
  return option;
}

Option& OptionTable::parsed(std::string name, std::string value_name, std::string help,
                            std::function<Result<void>(std::string_view)> store) {
  return parsed_values(std::move(name), std::move(value_name), std::move(help),
                       [store = std::move(store)](std::span<const std::string> values) { return store(values[0]); });
}

Option& OptionTable::flag(std::string name, bool& target, std::string help) {
  return parsed(std::move(name), "", std::move(help), [&target](std::string_view text) -> Result<void> {
    for (const std::string_view yes : {"true", "1", "yes", "on"}) {
      if (text == yes) return target = true, Result<void>();
    }
    for (const std::string_view no : {"false", "0", "no", "off"}) {
      if (text == no) return target = false, Result<void>();
    }
    return fieldpipe::fail(ErrorCode::kUsage, fmt::format("'{}' is neither true nor false", printable(text)));
  });
}

Option& OptionTable::text(std::string name, std::string value_name, std::string& target, std::string help) {
  return parsed(std::move(name), std::move(value_name), std::move(help),
                [&target](std::string_view text) {
                  target = text;
                  return Result<void>();
                })
      .default_text(target);
}

Option& OptionTable::text(std::string name, std::string value_name, std::optional<std::string>& target,
                          std::string help) {
  return parsed(std::move(name), std::move(value_name), std::move(help), [&target](std::string_view text) {
    target = text;
    return Result<void>();
  });
}

Option& OptionTable::list(std::string name, std::string value_name, std::vector<std::string>& target,
                          std::string help) {
  return parsed(std::move(name), std::move(value_name), std::move(help),
                [&target](std::string_view text) {
                  target.emplace_back(text);
                  return Result<void>();
                })
      .repeats();
}

Option& OptionTable::duration(std::string name, std::chrono::nanoseconds& target, std::string help,
                              std::string bare_unit) {
  return parsed(std::move(name), "TIME", std::move(help),
                [&target, bare_unit = std::move(bare_unit)](std::string_view text) {
                  return assign(parse_duration(text, bare_unit), target);
                })
      .default_text(print_duration(target));
}

Option& OptionTable::duration(std::string name, std::optional<std::chrono::nanoseconds>& target, std::string help,
                              std::string bare_unit) {
  return parsed(std::move(name), "TIME", std::move(help),
                [&target, bare_unit = std::move(bare_unit)](std::string_view text) {
                  return assign(parse_duration(text, bare_unit), target);
                });
}

Option& OptionTable::operands(std::string value_name, std::vector<std::string>& target, std::string help) {
  return list("", std::move(value_name), target, std::move(help)).command_line_only();
}

Result<void> OptionTable::unknown_choice(std::string_view text, std::span<const std::string> choices) {
  const auto near = nearest(text, choices);
  return fieldpipe::fail(ErrorCode::kUsage,
                         fmt::format("'{}' is not one of {}", printable(text), fmt::join(choices, ", ")),
                         near ? fmt::format("did you mean {}?", *near) : "");
}

}  // namespace fieldpipe::cli
