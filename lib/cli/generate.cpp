// SPDX-License-Identifier: MIT
#include "cli/generate.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace fieldpipe::cli {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kHelpColumn = 30;

// Appends `text` in lines of at most kColumns, the first one starting at `column`, the others indented to it.
void append_wrapped(std::string& out, std::string_view text, std::size_t column) {
  std::size_t at = column;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (at > column && at + 1 + word.size() > kColumns) {
      out.append("\n").append(column, ' ');
      at = column;
    }
    if (at > column) {
      out.push_back(' ');
      ++at;
    }
    out.append(word);
    at += word.size();
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  out.push_back('\n');
}

std::string capitalised(std::string_view text) {
  std::string result(text);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') result[0] = static_cast<char>(result[0] - 'a' + 'A');
  return result;
}

// Appends a sentence of ours as mdoc text in lines of at most kColumns. The backslash and a control
// character at the start of a line are the only specials in it.
void append_mdoc(std::string& out, std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += c == '\\' ? std::string("\\e") : std::string(1, c);
  std::string lines;
  append_wrapped(lines, escaped, 0);
  bool line_start = true;
  for (const char c : lines) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    out.push_back(c);
    line_start = c == '\n';
  }
}

// Between single quotes in a shell.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

class Generator {
 public:
  Generator(const Tool& tool, const OptionTable& table) : tool_(tool) {
    std::vector<std::string_view> sections;
    for (const Option& option : table.options()) {
      if (option.hidden_) continue;
      if (option.is_operand()) {
        if (option.completes_ != Completes::kNothing || !option.suggested_.empty()) operand_ = &option;
        continue;
      }
      if (std::find(sections.begin(), sections.end(), option.section_) == sections.end())
        sections.push_back(option.section_);
      options_.push_back(&option);
    }
    // Options of one section come together, wherever they were declared.
    const auto rank = [&](const Option* option) {
      return std::find(sections.begin(), sections.end(), option->section_);
    };
    std::stable_sort(options_.begin(), options_.end(),
                     [&](const Option* a, const Option* b) { return rank(a) < rank(b); });
  }

  [[nodiscard]] std::string help() const {
    std::string out =
        fmt::format("Usage: {} [OPTION]...{}{}\n", tool_.name, tool_.operands.empty() ? "" : " ", tool_.operands);
    append_wrapped(out, capitalised(tool_.summary) + ".", 0);
    if (!tool_.example.empty()) out += fmt::format("\n  {}\n", tool_.example);
    std::optional<std::string_view> section;
    for (const Option* option : options_) {
      if (option->section_ != section) {
        section = option->section_;
        out += section->empty() ? "\n" : fmt::format("\n{}:\n", *section);
      }
      std::string left = option->letter_ != 0 ? fmt::format("  -{}, --{}", option->letter_, option->name_)
                                              : fmt::format("      --{}", option->name_);
      if (!option->is_flag()) left += fmt::format(" {}", option->value_name_);
      if (left.size() + 2 > kHelpColumn) {
        left += "\n" + std::string(kHelpColumn, ' ');
      } else {
        left.resize(kHelpColumn, ' ');
      }
      out += left;
      append_wrapped(out, description(*option), kHelpColumn);
    }
    out += fmt::format("\nSee {}(1) and fieldpipe(7) for formats, exit statuses and examples.\n", tool_.name);
    return out;
  }

  [[nodiscard]] std::string man() const {
    std::string out;
    std::optional<std::string_view> section;
    for (const Option* option : options_) {
      if (option->section_ != section) {
        if (section) out += ".El\n";
        section = option->section_;
        if (!section->empty()) out += fmt::format(".Ss {}\n", *section);
        out += ".Bl -tag -width Ds\n";
      }
      const std::string value = option->is_flag() ? "" : fmt::format(" Ar {}", option->value_name_);
      out += ".It ";
      if (option->letter_ != 0) out += fmt::format("Fl {}{} , ", option->letter_, value);
      out += fmt::format("Fl -{}{}\n", option->name_, value);
      append_mdoc(out, capitalised(option->help_) + ".");
      if (!option->choices_.empty()) append_mdoc(out, fmt::format("One of {}.", fmt::join(option->choices_, ", ")));
      if (!option->default_text_.empty()) append_mdoc(out, fmt::format("The default is {}.", option->default_text_));
      if (option->repeats_) out += "May be given more than once.\n";
      if (!option->environment_.empty()) out += fmt::format("Also read from\n.Ev {} .\n", option->environment_);
    }
    return out + ".El\n";
  }

  [[nodiscard]] std::string bash() const {
    const std::string function = identifier();
    std::string out = fmt::format("# bash completion for {}(1)\n{}() {{\n", tool_.name, function);
    out += "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n";
    out += "  # bash splits --name=value at the sign.\n";
    out +=
        "  if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then "
        "previous=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n";
    out += "  COMPREPLY=()\n  case $previous in\n";
    std::string silent;
    for (const Option* option : options_) {
      if (option->is_flag()) continue;
      std::string pattern = "--" + option->name_;
      if (option->letter_ != 0) pattern = fmt::format("-{}|{}", option->letter_, pattern);
      if (!option->choices_.empty()) {
        out += fmt::format("    {}) mapfile -t COMPREPLY < <(compgen -W {} -- \"$current\"); return ;;\n", pattern,
                           shell_quoted(fmt::format("{}", fmt::join(option->choices_, " "))));
      } else if (option->completes_ != Completes::kNothing) {
        out += fmt::format("    {}) compopt -o filenames; mapfile -t COMPREPLY < <({}); return ;;\n", pattern,
                           bash_files(*option));
      } else {
        silent += (silent.empty() ? "" : "|") + pattern;
      }
    }
    if (!silent.empty()) out += fmt::format("    {}) return ;;\n", silent);
    out += "  esac\n  if [[ $current == -* ]]; then\n";
    std::string names;
    for (const Option* option : options_) names += (names.empty() ? "--" : " --") + option->name_;
    out += fmt::format("    mapfile -t COMPREPLY < <(compgen -W {} -- \"$current\")\n", shell_quoted(names));
    if (operand_ != nullptr) {
      const std::string words =
          operand_->suggested_.empty() ? "" : fmt::format("compgen -W {} -- \"$current\"; ", suggested(*operand_));
      out += fmt::format("  else\n    compopt -o filenames; mapfile -t COMPREPLY < <({}{})\n", words,
                         bash_files(*operand_));
    }
    return out + fmt::format("  fi\n}}\ncomplete -F {} {}\n", function, tool_.name);
  }

  [[nodiscard]] std::string zsh() const {
    std::string out = fmt::format("#compdef {}\n# zsh completion for {}(1)\n_arguments -s -S", tool_.name, tool_.name);
    for (const Option* option : options_) {
      std::string help = bracket_safe(option->help_);
      std::string action;
      if (!option->is_flag()) {
        action = fmt::format(":{}:", option->value_name_);
        if (!option->choices_.empty()) {
          action += fmt::format("({})", fmt::join(option->choices_, " "));
        } else if (option->completes_ == Completes::kFiles) {
          action += option->suffix_.empty() ? "_files" : fmt::format("_files -g \"*{}\"", option->suffix_);
        } else if (option->completes_ == Completes::kDirectories) {
          action += "_files -/";
        }
      }
      const std::string star = option->repeats_ ? "*" : "";
      if (option->letter_ != 0) {
        out += fmt::format(" \\\n  {}", shell_quoted(fmt::format("{}-{}{}[{}]{}", star, option->letter_,
                                                                 option->is_flag() ? "" : "+", help, action)));
      }
      out += fmt::format(" \\\n  {}", shell_quoted(fmt::format("{}--{}{}[{}]{}", star, option->name_,
                                                               option->is_flag() ? "" : "=", help, action)));
    }
    if (operand_ != nullptr) {
      const std::string files = operand_->completes_ == Completes::kDirectories ? "_files -/" : "_files";
      out += operand_->suggested_.empty()
                 ? fmt::format(" \\\n  '*:{}:{}'", operand_->value_name_, files)
                 : fmt::format(" \\\n  '*:{}: _alternative \"words:word:({})\" \"files:file:{}\"'",
                               operand_->value_name_, fmt::join(operand_->suggested_, " "), files);
    }
    return out + "\n";
  }

  [[nodiscard]] std::string fish() const {
    std::string out = fmt::format("# fish completion for {}(1)\n", tool_.name);
    if (operand_ == nullptr) out += fmt::format("complete -c {} -f\n", tool_.name);
    if (operand_ != nullptr && !operand_->suggested_.empty()) {
      out += fmt::format("complete -c {} -a {}\n", tool_.name, suggested(*operand_));
    }
    for (const Option* option : options_) {
      out += fmt::format("complete -c {}", tool_.name);
      if (option->letter_ != 0) out += fmt::format(" -s {}", option->letter_);
      out += fmt::format(" -l {}", option->name_);
      if (!option->is_flag()) {
        if (!option->choices_.empty()) {
          out += fmt::format(" -x -a {}", shell_quoted(fmt::format("{}", fmt::join(option->choices_, " "))));
        } else if (!option->suffix_.empty()) {
          out += fmt::format(" -x -a '(__fish_complete_suffix {})'", option->suffix_);
        } else if (option->completes_ == Completes::kFiles) {
          out += " -r -F";
        } else if (option->completes_ == Completes::kDirectories) {
          out += " -x -a '(__fish_complete_directories)'";
        } else {
          out += " -x";
        }
      }
      out += fmt::format(" -d {}\n", shell_quoted(option->help_));
    }
    return out;
  }

  // name, letter, value name, help: what the option registry of the tests compares.
  [[nodiscard]] std::string options() const {
    std::string out;
    for (const Option* option : options_) {
      out += fmt::format("--{}\t{}\t{}\t{}\n", option->name_,
                         option->letter_ == 0 ? "" : fmt::format("-{}", option->letter_), option->value_name_,
                         option->help_);
    }
    return out;
  }

 private:
  static std::string description(const Option& option) {
    std::string text = option.help_;
    if (!option.choices_.empty()) text += fmt::format(": {}", fmt::join(option.choices_, ", "));
    std::string notes;
    if (!option.default_text_.empty()) notes = fmt::format("default {}", option.default_text_);
    if (!option.environment_.empty()) notes += fmt::format("{}or ${}", notes.empty() ? "" : ", ", option.environment_);
    return notes.empty() ? text : fmt::format("{} ({})", text, notes);
  }

  // Directories are always offered, because a file may be in one.
  static std::string bash_files(const Option& option) {
    if (option.completes_ == Completes::kDirectories) return "compgen -d -- \"$current\"";
    if (option.suffix_.empty()) return "compgen -f -- \"$current\"";
    return fmt::format("compgen -f -X '!*{}' -- \"$current\"; compgen -d -- \"$current\"", option.suffix_);
  }

  static std::string suggested(const Option& option) {
    return shell_quoted(fmt::format("{}", fmt::join(option.suggested_, " ")));
  }

  static std::string bracket_safe(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out;
  }

  [[nodiscard]] std::string identifier() const {
    std::string name = fmt::format("_{}", tool_.name);
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
  }

  const Tool& tool_;
  std::vector<const Option*> options_;
  const Option* operand_ = nullptr;  // if there is something to offer for it
};

std::string help_text(const Tool& tool, const OptionTable& table) { return Generator(tool, table).help(); }

Result<std::string> generated_text(const Tool& tool, const OptionTable& table, std::string_view kind) {
  const Generator generator(tool, table);
  if (kind == "man") return generator.man();
  if (kind == "bash") return generator.bash();
  if (kind == "zsh") return generator.zsh();
  if (kind == "fish") return generator.fish();
  if (kind == "options") return generator.options();
  return fail(ErrorCode::kUsage, fmt::format("--generate: '{}' is not one of man, bash, zsh, fish, options", kind));
}

}  // namespace fieldpipe::cli
