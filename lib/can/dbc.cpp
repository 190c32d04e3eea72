// SPDX-License-Identifier: MIT
#include "can/dbc.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "can/candump.h"
#include "can/decimal.h"
#include "can/frame.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

constexpr std::uint32_t kExtendedBit = 1U << 31U;
constexpr std::uint32_t kNoIdentifierBits = 3U << 29U;
constexpr std::string_view kIndependentSignals = "VECTOR__INDEPENDENT_SIG_MSG";
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// Words that begin a statement, in alphabetical order.
constexpr std::array<std::string_view, 35> kKeywords{
    "BA_",
    "BA_DEF_",
    "BA_DEF_DEF_",
    "BA_DEF_DEF_REL_",
    "BA_DEF_REL_",
    "BA_DEF_SGTYPE_",
    "BA_REL_",
    "BA_SGTYPE_",
    "BO_",
    "BO_TX_BU_",
    "BS_",
    "BU_",
    "BU_BO_REL_",
    "BU_EV_REL_",
    "BU_SG_REL_",
    "CAT_",
    "CAT_DEF_",
    "CM_",
    "ENVVAR_DATA_",
    "EV_",
    "EV_DATA_",
    "FILTER",
    "NS_",
    "NS_DESC_",
    "SGTYPE_",
    "SGTYPE_VAL_",
    "SG_",
    "SG_MUL_VAL_",
    "SIGTYPE_VALTYPE_",
    "SIG_GROUP_",
    "SIG_TYPE_REF_",
    "SIG_VALTYPE_",
    "VAL_",
    "VAL_TABLE_",
    "VERSION",
};
static_assert(std::ranges::is_sorted(kKeywords));

bool is_keyword(std::string_view word) { return std::ranges::binary_search(kKeywords, word); }

enum Class : std::uint8_t { kInName, kSpace, kPunctuation };

// What ends a name or a number. Everything else may be part of one: names in the wild begin with digits or are Chinese.
constexpr std::array<Class, 256> kClass = [] {
  std::array<Class, 256> table{};
  for (const char c : {' ', '\t', '\r', '\n', '\v', '\f'}) table[static_cast<unsigned char>(c)] = kSpace;
  for (const char c : {':', '|', '@', '(', ')', '[', ']', ',', ';', '"'})
    table[static_cast<unsigned char>(c)] = kPunctuation;
  return table;
}();

Class class_of(char c) { return kClass[static_cast<unsigned char>(c)]; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The characters of Windows-1252 from 0x80 to 0x9F (WHATWG Encoding Standard, index windows-1252); the others are those
// of Unicode.
constexpr std::array<std::uint16_t, 32> kWindows1252{0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                                     0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D, 0x017D, 0x008F,
                                                     0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                                     0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

std::string utf8_of_windows_1252(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80U) {
      out.push_back(c);
      continue;
    }
    const unsigned point = byte < 0xA0U ? kWindows1252[byte - 0x80U] : byte;
    if (point < 0x800U) {
      out.push_back(static_cast<char>(0xC0U | point >> 6U));
    } else {
      out.push_back(static_cast<char>(0xE0U | point >> 12U));
      out.push_back(static_cast<char>(0x80U | (point >> 6U & 0x3FU)));
    }
    out.push_back(static_cast<char>(0x80U | (point & 0x3FU)));
  }
  return out;
}

struct SignalKey {
  std::uint32_t message;
  std::string_view name;

  bool operator==(const SignalKey&) const = default;
};

struct SignalKeyHash {
  std::size_t operator()(const SignalKey& key) const {
    return std::hash<std::string_view>{}(key.name) ^ key.message * 0x9E3779B97F4A7C15U;
  }
};

// Which message or signal a statement is about. `signal` is not set where it is about the message.
struct Target {
  Message* message = nullptr;
  Signal* signal = nullptr;
};

// Parses statement by statement from the first to the last byte. The parse_ members return false when the rest of the
// statement cannot be read, which they have reported; what they have learnt until then is kept.
class Parser {
 public:
  explicit Parser(Database& database) : database_(database), text_(*database.text), begin_(text_.data()), at_(begin_) {
    end_ = begin_ + text_.size();
    line_at_ = begin_;
    rewind_budget_ = 4 * text_.size();
    messages_.reserve(text_.size() / 512);
    signals_.reserve(text_.size() / 48);  // a statement of a signal is seldom shorter
  }

  void parse() {
    while (next_statement()) {
      if (!parse_statement()) recover();
    }
    // Statements about what the file defines only behind them.
    last_chance_ = true;
    for (const char* const statement : std::exchange(deferred_, {})) {
      at_ = statement;
      parse_statement();
    }
    finish();
  }

 private:
  // What a statement says of a signal that can only be used when all of the file is known.
  struct Naming {
    std::uint32_t message;
    std::uint32_t signal;
    std::string_view name;
    std::uint32_t line;
  };

  // Keeps the members that parse inside of it to the line at at_, so that what a line lacks is not taken from the next.
  class WithinLine {
   public:
    explicit WithinLine(Parser& parser) : parser_(parser), end_(parser.end_) { parser.end_ = parser.line_end(); }
    ~WithinLine() { parser_.end_ = end_; }
    WithinLine(const WithinLine&) = delete;
    WithinLine& operator=(const WithinLine&) = delete;

   private:
    Parser& parser_;
    const char* end_;
  };

  // Reports.

  std::uint32_t line_of(const char* place) {
    if (place >= line_at_) {
      line_ += static_cast<std::uint32_t>(std::count(line_at_, place, '\n'));
    } else {
      line_ -= static_cast<std::uint32_t>(std::count(place, line_at_, '\n'));
    }
    line_at_ = place;
    return line_;
  }

  void report_at(std::uint32_t line, std::string what) {
    ++database_.diagnostic_count;
    if (database_.diagnostics.size() < kMaxDiagnostics) database_.diagnostics.push_back({line, std::move(what)});
  }

  // Reports what is wrong with the statement at hand; false, for `return report(...)`.
  bool report(std::string_view what) {
    if (quiet_) return false;
    std::string text(keyword_);
    for (const std::string_view name : {subject_, subject_part_}) {
      if (!name.empty()) text += fmt::format(" {}", printable(name));
    }
    report_at(line_of(statement_), fmt::format("{}: {}", text, what));
    return false;
  }

  template <typename... Arguments>
  bool report(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    return quiet_ ? false : report(std::string_view(fmt::format(format, std::forward<Arguments>(arguments)...)));
  }

  // Words.

  const char* line_end() const {
    const auto* found = static_cast<const char*>(std::memchr(at_, '\n', static_cast<std::size_t>(end_ - at_)));
    return found != nullptr ? found : end_;
  }

  // Skips white space and // comments.
  void skip_space() {
    for (;;) {
      while (at_ != end_ && class_of(*at_) == kSpace) ++at_;
      if (!at_comment()) return;
      at_ = line_end();
    }
  }

  bool at_comment() const { return end_ - at_ > 1 && at_[0] == '/' && at_[1] == '/'; }

  bool next_is(char c) {
    skip_space();
    return at_ != end_ && *at_ == c;
  }

  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }

  std::string_view word_here() const {
    const char* to = at_;
    while (to != end_ && class_of(*to) == kInName) ++to;
    return {at_, static_cast<std::size_t>(to - at_)};
  }

  // A name or a number; empty where there is none.
  std::string_view take_word() {
    skip_space();
    const std::string_view word = word_here();
    at_ += word.size();
    return word;
  }

  // What is next, for a message.
  std::string next() {
    skip_space();
    if (at_ == end_) return "the end";
    const std::string_view word = word_here();
    return fmt::format("'{}'", printable(word.empty() ? std::string_view(at_, 1) : word));
  }

  // A string without its quotes, its escapes still in it; they are \" only.
  bool take_string(std::string_view& out) {
    if (!take('"')) return report("a text in quotes must be here, not {}", next());
    const char* const first = at_;
    for (const char* to = at_;; ++to) {
      to = static_cast<const char*>(std::memchr(to, '"', static_cast<std::size_t>(end_ - to)));
      if (to == nullptr) {
        report("quote that is never closed");
        at_ = end_;
        return false;
      }
      if (to != first && to[-1] == '\\') continue;
      out = {first, static_cast<std::size_t>(to - first)};
      at_ = to + 1;
      return true;
    }
  }

  // A string as it is kept.
  std::string_view kept(std::string_view text) {
    if (text.find('\\') == std::string_view::npos) return text;
    std::string& plain = database_.unescaped.emplace_back();
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') ++i;
      plain.push_back(text[i]);
    }
    return plain;
  }

  // The `;` of a statement. A keyword on a new line in its place ends the statement as well.
  bool take_end() {
    if (take(';')) return true;
    if (at_ == end_ || at_keyword_line()) {
      report("no ; at the end");
      return true;
    }
    return report("; must be here, not {}", next());
  }

  bool is_at_line_start() const {
    const char* from = at_;
    while (from != begin_ && (from[-1] == ' ' || from[-1] == '\t')) --from;
    return from == begin_ || from[-1] == '\n';
  }

  // Whether the word at at_ is a keyword, and the first one of its line.
  bool at_keyword_line() const { return is_at_line_start() && is_keyword(word_here()); }

  // Goes to the next line that begins with a keyword, from inside of a line.
  void skip_to_keyword_line() {
    while (at_ != end_) {
      at_ = line_end();
      if (at_ == end_) return;
      ++at_;
      while (at_ != end_ && (*at_ == ' ' || *at_ == '\t')) ++at_;
      if (at_keyword_line()) return;
    }
  }

  // To the end of a statement nobody needs. Strings may hold semicolons.
  bool skip_statement() {
    while (at_ != end_) {
      if (*at_ == '"') {
        std::string_view ignored;
        if (!take_string(ignored)) return false;
      } else if (*at_ == '\n') {
        skip_space();
        if (at_keyword_line()) break;
      } else if (at_comment()) {
        at_ = line_end();
      } else if (*at_++ == ';') {
        return true;
      }
    }
    report("no ; at the end");
    return true;
  }

  // Statements.

  bool next_statement() {
    skip_space();
    return at_ != end_;
  }

  bool parse_statement() {
    statement_ = at_;
    keyword_ = take_word();
    subject_ = subject_part_ = {};
    return parse_rest(keyword_);
  }

  // Where a quote is missing, strings and statements have changed places. So reading goes on behind the line the broken
  // statement began on, as long as all that is read twice stays in proportion to the file.
  void recover() {
    const auto cost = static_cast<std::size_t>(at_ - statement_);
    if (cost <= rewind_budget_) {
      rewind_budget_ -= cost;
      at_ = statement_;
    }
    skip_to_keyword_line();
  }

  bool parse_rest(std::string_view keyword) {
    if (keyword == "SG_") return parse_signal();
    if (keyword == "BA_") return parse_attribute();
    if (keyword == "VAL_") return parse_choices();
    if (keyword == "BO_") return parse_message();
    if (keyword == "CM_") return parse_comment();
    if (keyword == "SG_MUL_VAL_") return parse_multiplexing();
    if (keyword == "SIG_VALTYPE_") return parse_value_type();
    if (keyword == "BA_DEF_") return parse_definition();
    if (keyword == "BA_DEF_DEF_") return parse_default();
    if (keyword == "VERSION") return parse_version();
    if (keyword == "NS_") return skip_names();
    if (keyword == "BS_" || keyword == "BU_") {
      skip_to_keyword_line();
      return true;
    }
    if (is_keyword(keyword)) return skip_statement();
    if (keyword.empty() && take(';')) return true;
    at_ = statement_;
    report_at(line_of(at_), fmt::format("no statement begins with {}", next()));
    return false;
  }

  bool parse_version() {
    const WithinLine line(*this);
    std::string_view ignored;
    return !next_is('"') || take_string(ignored);
  }

  // The lines below NS_ hold one keyword each, and nothing else.
  bool skip_names() {
    take(':');
    at_ = line_end();
    while (at_ != end_) {
      const char* const line = at_;
      ++at_;
      const WithinLine within(*this);
      take_word();
      skip_space();
      if (at_ == end_) continue;
      at_ = line;
      break;
    }
    return true;
  }

  // `BO_ 256 Engine: 8 ECU`
  bool parse_message() {
    const WithinLine line(*this);
    signals_of_ = kNone;
    skip_signals_ = true;
    const std::string_view digits = take_word();
    const auto number = parse_integer<std::uint64_t>(digits);
    if (!number) return report("identifier must be a number, not '{}'", printable(digits));
    if (*number > std::numeric_limits<std::uint32_t>::max())
      return report("identifier {} is above 4294967295", *number);
    subject_ = digits;
    Message message;
    message.name = take_word();
    if (message.name.empty()) return report("message without a name");
    if (message.name.size() > kMaxNameBytes)
      return report("name of {} bytes, at most {}", message.name.size(), kMaxNameBytes);
    subject_part_ = message.name;
    if (message.name == kIndependentSignals) {
      take(':');
      take_word();
      take_word();
      return true;
    }
    const std::uint32_t key = key_of(static_cast<std::uint32_t>(*number));
    if (key != *number && !std::exchange(reported_wide_id_, true)) {
      report("identifier above 2047 without bit 31, taken for one of 29 bits, as are all others like it");
    }
    if ((key & kNoIdentifierBits) != 0) report("identifier with bit 29 or 30, which no frame has");
    message.extended = (key & kExtendedBit) != 0;
    message.id = key & (message.extended ? kMaxExtendedId : kMaxStandardId);
    message.matchable = (key & kNoIdentifierBits) == 0;
    message.line = line_of(statement_);
    if (!take(':')) report("no : behind the name");
    const std::string_view length = take_word();
    if (const auto bytes = parse_integer<std::uint32_t>(length); !bytes) {
      report("length must be a number of bytes, not '{}'", printable(length));
    } else if (*bytes > kMaxMessageBytes) {
      report("length of {} bytes, at most {}", *bytes, kMaxMessageBytes);
    } else {
      message.length_bytes = *bytes;
    }
    message.sender = take_word();
    if (database_.messages.size() == kMaxMessages) return report("more than {} messages", kMaxMessages);
    const auto index = static_cast<std::uint32_t>(database_.messages.size());
    const auto [known, is_new] = messages_.try_emplace(key, index);
    if (!is_new) {
      report("identifier defined again, the message of line {} stays", database_.messages[known->second].line);
      return true;
    }
    database_.messages.push_back(std::move(message));
    signals_of_ = index;
    skip_signals_ = false;
    return true;
  }

  static std::uint32_t key_of(std::uint32_t number) { return number > kMaxStandardId ? number | kExtendedBit : number; }

  // `SG_ Speed m1 : 7|12@0- (0.1,-40) [0|250] "km/h" Gateway,Display`
  bool parse_signal() {
    const WithinLine line(*this);
    Signal signal;
    signal.name = take_word();
    if (signal.name.empty()) return report("signal without a name");
    if (signal.name.size() > kMaxNameBytes)
      return report("name of {} bytes, at most {}", signal.name.size(), kMaxNameBytes);
    subject_ = signal.name;
    if (signals_of_ == kNone) {
      if (!skip_signals_) report("signal in front of all messages");
      at_ = end_;
      return true;
    }
    signal.line = line_of(statement_);
    if (!parse_mark(signal) || !parse_bits(signal)) return false;
    const bool complete = parse_scale(signal);
    Message& message = database_.messages[signals_of_];
    if (message.signals.size() == kMaxSignalsPerMessage)
      return report("more than {} signals in a message", kMaxSignalsPerMessage);
    if (signal_count_ == kMaxSignals) return report("more than {} signals in a file", kMaxSignals);
    const auto index = static_cast<std::uint32_t>(message.signals.size());
    const auto [known, is_new] = signals_.try_emplace({signals_of_, signal.name}, index);
    if (!is_new) {
      report("defined again in {}, the signal of line {} stays", printable(message.name),
             message.signals[known->second].line);
    } else {
      ++signal_count_;
      message.signals.push_back(std::move(signal));
    }
    if (!complete) return false;
    at_ = end_;
    return true;
  }

  // `M`, `m3`, `m3M`, or nothing.
  bool parse_mark(Signal& signal) {
    const std::string_view mark = take_word();
    if (!mark.empty()) {
      std::string_view value = mark;
      signal.is_multiplexor = value.ends_with('M');
      if (signal.is_multiplexor) value.remove_suffix(1);
      signal.is_multiplexed = value.starts_with('m');
      if (signal.is_multiplexed) value.remove_prefix(1);
      const auto number = parse_integer<std::uint64_t>(value);
      if (value.empty() ? false : !signal.is_multiplexed || !number || value[0] == '-') {
        return report("M, a number behind m, or : must be here, not '{}'", printable(mark));
      }
      if (number) signal.ranges.push_back({*number, *number});
    }
    return take(':') || report(": must be here, not {}", next());
  }

  // `7|12@0-`
  bool parse_bits(Signal& signal) {
    const std::string_view start = take_word();
    const auto start_bit = parse_integer<std::uint64_t>(start);
    if (!start_bit) return report("start bit must be a number, not '{}'", printable(start));
    if (*start_bit >= 8 * kMaxMessageBytes)
      return report("start bit {}, at most {}", *start_bit, 8 * kMaxMessageBytes - 1);
    if (!take('|')) return report("| must be here, not {}", next());
    const std::string_view length = take_word();
    const auto length_bits = parse_integer<std::uint64_t>(length);
    if (!length_bits) return report("length must be a number, not '{}'", printable(length));
    if (*length_bits == 0 || *length_bits > 64) return report("length of {} bits, must be 1 to 64", *length_bits);
    if (!take('@')) return report("@ must be here, not {}", next());
    skip_space();
    if (at_ == end_ || (*at_ != '0' && *at_ != '1')) return report("byte order must be 0 or 1, not {}", next());
    signal.byte_order = *at_++ == '0' ? ByteOrder::kMotorola : ByteOrder::kIntel;
    skip_space();
    if (at_ == end_ || (*at_ != '+' && *at_ != '-')) return report("sign must be + or -, not {}", next());
    signal.type = *at_++ == '-' ? ValueType::kSigned : ValueType::kUnsigned;
    signal.start_bit = static_cast<std::uint16_t>(*start_bit);
    signal.length_bits = static_cast<std::uint8_t>(*length_bits);
    if (signal.end_byte() > kMaxMessageBytes)
      return report("ends in byte {}, at most {}", signal.end_byte(), kMaxMessageBytes);
    return true;
  }

  // `(0.1,-40) [0|250] "km/h" Gateway,Display`. The bits are known, so the signal has a value without all this.
  bool parse_scale(Signal& signal) {
    signal.factor = "1";
    signal.offset = "0";
    if (!take('(')) return report("( must be here, not {}", next());
    const std::string_view factor = take_word();
    if (!take(',')) return report(", must be here, not {}", next());
    const std::string_view offset = take_word();
    for (const std::string_view number : {factor, offset}) {
      if (!parse_number(number)) return report("factor or offset '{}' is no number in range", printable(number));
    }
    signal.factor = factor;
    signal.offset = offset;
    if (!take(')')) return report(") must be here, not {}", next());
    if (!take('[')) return report("[ must be here, not {}", next());
    signal.minimum = take_word();
    if (!take('|')) return report("| must be here, not {}", next());
    signal.maximum = take_word();
    if (!take(']')) return report("] must be here, not {}", next());
    std::string_view unit;
    if (!take_string(unit)) return false;
    signal.unit = kept(unit);
    skip_space();
    const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
    signal.receivers = trimmed(rest.substr(0, rest.find("//")));
    return true;
  }

  // Reads the number of a message and, with `with_signal`, the name of one of its signals. False when the rest of the
  // statement is of no use: `understood` says whether that is only because it is about something unknown.
  bool take_target(bool with_signal, Target& target, bool& understood) {
    understood = false;
    const std::string_view digits = take_word();
    const auto number = parse_integer<std::uint32_t>(digits);
    if (!number) return report("identifier must be a number up to 4294967295, not '{}'", printable(digits));
    subject_ = digits;
    std::string_view name;
    if (with_signal) {
      skip_space();
      if (!at_keyword_line()) name = take_word();
      if (name.empty()) return report("name of a signal must be here, not {}", next());
      subject_part_ = name;
    }
    understood = true;
    if (const auto message = messages_.find(key_of(*number)); message != messages_.end()) {
      target.message = &database_.messages[message->second];
      if (!with_signal) return true;
      if (const auto signal = signals_.find({message->second, name}); signal != signals_.end()) {
        target.signal = &target.message->signals[signal->second];
        return true;
      }
    }
    if (!last_chance_) deferred_.push_back(statement_);
    return false;
  }

  Naming naming(const Target& target, std::string_view name) {
    const auto message = static_cast<std::uint32_t>(target.message - database_.messages.data());
    const auto signal = target.signal == nullptr ? 0 : target.signal - target.message->signals.data();
    return {message, static_cast<std::uint32_t>(signal), name, line_of(statement_)};
  }

  // Past a statement about something unknown. What is wrong with it is told the second time.
  bool skip_unknown() {
    quiet_ = !last_chance_;
    const bool skipped = skip_statement();
    quiet_ = false;
    return skipped;
  }

  // `VAL_ 256 Gear 0 "P" 1 "R" ;`; an environment variable has a name in place of the identifier.
  bool parse_choices() {
    skip_space();
    if (at_ == end_ || !is_digit(*at_)) return skip_statement();
    Target target;
    bool understood = false;
    if (!take_target(true, target, understood)) return understood && skip_unknown();
    Signal& signal = *target.signal;
    if (!signal.choices.empty()) {
      report("texts of its values again, the first ones stay");
      return skip_statement();
    }
    const bool complete = parse_choice_pairs(signal);
    std::ranges::stable_sort(signal.choices, {}, &Choice::value);
    const auto repeated = std::ranges::unique(signal.choices, {}, &Choice::value);
    signal.choices.erase(repeated.begin(), repeated.end());
    signal.choices.shrink_to_fit();
    return complete && take_end();
  }

  bool parse_choice_pairs(Signal& signal) {
    for (;;) {
      skip_space();
      if (at_ == end_ || *at_ == ';' || at_keyword_line()) return true;
      const std::string_view digits = take_word();
      const std::optional<std::int64_t> value = parse_choice_value(digits);
      if (!value) return report("value of a text must be an integer of 64 bits, not '{}'", printable(digits));
      if (!next_is('"')) return report("no text for {}", digits);
      std::string_view text;
      if (!take_string(text)) return false;
      if (choice_count_ == kMaxChoices) return report("more than {} texts of values in a file", kMaxChoices);
      ++choice_count_;
      signal.choices.push_back({*value, kept(text)});
    }
  }

  static std::optional<std::int64_t> parse_choice_value(std::string_view digits) {
    if (const auto value = parse_integer<std::int64_t>(digits)) return value;
    if (const auto value = parse_integer<std::uint64_t>(digits)) return static_cast<std::int64_t>(*value);
    // Also `1.0` and `1E+003`.
    const auto number = parse_decimal(digits);
    if (!number || number->exponent < 0 || number->exponent > 18) return std::nullopt;
    Int128 value = number->digits;
    for (int i = 0; i < number->exponent; ++i) {
      if (value > std::numeric_limits<std::int64_t>::max() || value < std::numeric_limits<std::int64_t>::min()) break;
      value *= 10;
    }
    if (value > std::numeric_limits<std::int64_t>::max() || value < std::numeric_limits<std::int64_t>::min())
      return std::nullopt;
    return static_cast<std::int64_t>(value);
  }

  // `CM_ SG_ 256 Speed "text";`, `CM_ BO_ 256 "text";`, and comments of nodes, variables and the file.
  bool parse_comment() {
    if (next_is('"')) return skip_statement();
    const std::string_view kind = take_word();
    if (kind == "BU_" || kind == "EV_") return skip_statement();
    if (kind != "BO_" && kind != "SG_")
      return report("BO_, SG_, BU_, EV_ or a text must be here, not '{}'", printable(kind));
    Target target;
    bool understood = false;
    if (!take_target(kind == "SG_", target, understood)) return understood && skip_unknown();
    std::string_view text;
    if (!take_string(text)) return false;
    (target.signal != nullptr ? target.signal->comment : target.message->comment) = kept(text);
    return take_end();
  }

  // `SIG_VALTYPE_ 256 Speed : 1;`
  bool parse_value_type() {
    Target target;
    bool understood = false;
    if (!take_target(true, target, understood)) return understood && skip_unknown();
    take(':');
    const std::string_view type = take_word();
    Signal& signal = *target.signal;
    if (type == "1" || type == "2") {
      // 1 is a float of 32 bits and 2 one of 64, but the length says so too.
      if (signal.length_bits != 16 && signal.length_bits != 32 && signal.length_bits != 64) {
        report("a float has 16, 32 or 64 bits, not {}; read as an integer", signal.length_bits);
      } else {
        signal.type = ValueType::kFloat;
      }
    } else if (type != "0" && type != "3") {
      return report("type must be 0 to 3, not '{}'", printable(type));
    }
    return take_end();
  }

  // `SG_MUL_VAL_ 256 Leaf Mid 4-4, 8-10;`
  bool parse_multiplexing() {
    Target target;
    bool understood = false;
    if (!take_target(true, target, understood)) return understood && skip_unknown();
    Signal& signal = *target.signal;
    const std::string_view multiplexor = take_word();
    if (multiplexor.empty()) return report("name of the multiplexor must be here, not {}", next());
    const Naming named = naming(target, multiplexor);
    const auto [known, is_new] = multiplexor_of_.try_emplace({named.message, signal.name}, multiplexors_.size());
    if (is_new) {
      multiplexors_.push_back(named);
      signal.is_multiplexed = true;
      signal.ranges.clear();
    } else if (multiplexors_[known->second].name != multiplexor) {
      report("a second multiplexor {}, the first one stays", printable(multiplexor));
      return skip_statement();
    }
    do {
      if (!parse_range(signal)) return false;
    } while (take(',') || (!next_is(';') && at_ != end_ && is_digit(*at_)));
    return take_end();
  }

  bool parse_range(Signal& signal) {
    skip_space();
    const auto number = [this]() -> std::optional<std::uint64_t> {
      const char* const first = at_;
      while (at_ != end_ && is_digit(*at_)) ++at_;
      return parse_integer<std::uint64_t>({first, static_cast<std::size_t>(at_ - first)});
    };
    const auto first = number();
    const bool dash = first && take('-');
    if (dash) skip_space();
    const auto last = dash ? number() : std::nullopt;
    if (!last) return report("values of the multiplexor must be two numbers, as in 4-7");
    if (*first > *last) {
      report("values {}-{} of the multiplexor are upside down", *first, *last);
      return true;
    }
    if (range_count_ == kMaxChoices) return report("more than {} ranges of multiplexors in a file", kMaxChoices);
    ++range_count_;
    signal.ranges.push_back({*first, *last});
    return true;
  }

  // `BA_ "GenMsgCycleTime" BO_ 256 100;`
  bool parse_attribute() {
    std::string_view name;
    if (!take_string(name)) return false;
    const bool of_message = name == "GenMsgCycleTime" || name == "VFrameFormat" || name == "SystemMessageLongSymbol";
    const bool of_signal = name == "GenSigStartValue" || name == "SPN" || name == "SystemSignalLongSymbol";
    if (!of_message && !of_signal) return skip_statement();
    const std::string_view kind = take_word();
    if (kind != (of_message ? "BO_" : "SG_")) return skip_statement();
    Target target;
    bool understood = false;
    if (!take_target(of_signal, target, understood)) return understood && skip_unknown();
    std::string_view value;
    if (!take_value(value)) return false;
    if (name == "GenMsgCycleTime") {
      target.message->cycle_time_ms = parse_whole("cycle time", value);
    } else if (name == "VFrameFormat") {
      target.message->frame_format = value;
    } else if (name == "SystemMessageLongSymbol") {
      if (is_long_name(value)) long_message_names_.push_back(naming(target, value));
    } else if (name == "GenSigStartValue") {
      target.signal->start_value = value;
    } else if (name == "SPN") {
      target.signal->spn = parse_whole("SPN", value);
    } else if (is_long_name(value)) {
      long_signal_names_.push_back(naming(target, value));
    }
    return take_end();
  }

  // A number, or a string without its quotes.
  bool take_value(std::string_view& out) {
    if (next_is('"')) {
      std::string_view text;
      if (!take_string(text)) return false;
      out = kept(text);
      return true;
    }
    out = take_word();
    return !out.empty() || report("a number or a text must be here, not {}", next());
  }

  bool is_long_name(std::string_view name) {
    if (name.empty()) return false;
    return name.size() <= kMaxNameBytes || report("name of {} bytes, at most {}", name.size(), kMaxNameBytes);
  }

  // Attributes of integers are also written as 1e+02 or 100.0.
  std::optional<std::uint32_t> parse_whole(std::string_view what, std::string_view value) {
    const auto number = parse_number(value);
    if (number && *number >= 0 && *number <= std::numeric_limits<std::uint32_t>::max())
      return static_cast<std::uint32_t>(*number);
    report("{} must be a number from 0 to 4294967295, not '{}'", what, printable(value));
    return std::nullopt;
  }

  // `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN";`
  bool parse_definition() {
    skip_space();
    if (at_ != end_ && *at_ != '"') take_word();
    std::string_view name;
    if (!take_string(name)) return false;
    if (name != "VFrameFormat" || take_word() != "ENUM") return skip_statement();
    frame_formats_.clear();
    do {
      std::string_view format;
      if (!take_string(format)) return false;
      frame_formats_.push_back(kept(format));
    } while (take(','));
    return take_end();
  }

  // `BA_DEF_DEF_ "GenMsgCycleTime" 100;`
  bool parse_default() {
    std::string_view name;
    if (!take_string(name)) return false;
    if (name != "GenMsgCycleTime" && name != "VFrameFormat" && name != "GenSigStartValue") return skip_statement();
    std::string_view value;
    if (!take_value(value)) return false;
    if (name == "GenMsgCycleTime") {
      default_cycle_time_ = parse_whole("cycle time", value);
    } else {
      (name == "VFrameFormat" ? default_frame_format_ : default_start_value_) = value;
    }
    return take_end();
  }

  // What can only be told when all of the file is known.

  void finish() {
    for (Message& message : database_.messages) {
      if (!message.cycle_time_ms) message.cycle_time_ms = default_cycle_time_;
      if (message.frame_format.empty()) message.frame_format = default_frame_format_;
      const auto format = parse_integer<std::size_t>(message.frame_format);
      if (format && *format < frame_formats_.size()) message.frame_format = frame_formats_[*format];
      for (Signal& signal : message.signals) {
        if (signal.start_value.empty()) signal.start_value = default_start_value_;
      }
    }
    finish_multiplexing();
    for (const Naming& naming : long_message_names_) database_.messages[naming.message].name = naming.name;
    for (const Naming& naming : long_signal_names_) {
      database_.messages[naming.message].signals[naming.signal].name = naming.name;
    }
    std::ranges::stable_sort(database_.diagnostics, {}, &Diagnostic::line);
  }

  void finish_multiplexing() {
    for (const Naming& named : multiplexors_) {
      Message& message = database_.messages[named.message];
      Signal& signal = message.signals[named.signal];
      const auto found = signals_.find({named.message, named.name});
      if (found == signals_.end()) {
        report_at(named.line, fmt::format("SG_MUL_VAL_ {}: its multiplexor {} is no signal of {}",
                                          printable(signal.name), printable(named.name), printable(message.name)));
        signal.ranges.clear();
        continue;
      }
      signal.multiplexor = found->second;
      message.signals[found->second].is_multiplexor = true;
    }
    for (std::uint32_t i = 0; i < database_.messages.size(); ++i) {
      Message& message = database_.messages[i];
      if (std::ranges::none_of(message.signals, &Signal::is_multiplexed)) continue;
      finish_marks(i, message);
      for (Signal& signal : message.signals) merge_ranges(signal.ranges);
      refuse_cycles(message);
    }
  }

  // Gives the signals that only a mark says to be multiplexed their multiplexor.
  void finish_marks(std::uint32_t number, Message& message) {
    const auto is_marked = [&](const Signal& signal) {
      return signal.is_multiplexed && !multiplexor_of_.contains({number, signal.name});
    };
    const auto is_root = [](const Signal& signal) { return signal.is_multiplexor && !signal.is_multiplexed; };
    auto root = std::ranges::find_if(message.signals, is_root);
    if (root == message.signals.end()) {
      // A file in the wild writes m for M.
      root = std::ranges::find_if(message.signals, [&](const Signal& s) { return is_marked(s) && s.ranges.empty(); });
      if (root != message.signals.end()) {
        root->is_multiplexor = true;
        root->is_multiplexed = false;
      }
    }
    bool reported = std::ranges::count_if(message.signals, is_root) < 2;
    for (Signal& signal : message.signals) {
      if (!is_marked(signal)) continue;
      if (root == message.signals.end()) {
        report_at(signal.line, fmt::format("SG_ {}: multiplexed, and {} has no multiplexor", printable(signal.name),
                                           printable(message.name)));
        signal.ranges.clear();
        continue;
      }
      if (signal.ranges.empty()) {
        report_at(signal.line,
                  fmt::format("SG_ {}: m without a number, so it is never present", printable(signal.name)));
      }
      if (!std::exchange(reported, true)) {
        report_at(signal.line, fmt::format("SG_ {}: {} has several multiplexors, {} is taken", printable(signal.name),
                                           printable(message.name), printable(root->name)));
      }
      signal.multiplexor = static_cast<std::uint32_t>(root - message.signals.begin());
    }
  }

  static void merge_ranges(std::vector<ValueRange>& ranges) {
    if (ranges.size() < 2) return;
    std::ranges::sort(ranges);
    std::size_t kept = 0;
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      if (ranges[i].first <= ranges[kept].last) {
        ranges[kept].last = std::max(ranges[kept].last, ranges[i].last);
      } else {
        ranges[++kept] = ranges[i];
      }
    }
    ranges.resize(kept + 1);
  }

  // Takes the ranges from signals that are multiplexed by themselves, perhaps through others. Each signal is passed
  // once: `chain` numbers the walks, and one that meets itself is a cycle.
  void refuse_cycles(Message& message) {
    std::vector<std::uint32_t> chain(message.signals.size(), kNone);
    for (std::uint32_t start = 0; start < chain.size(); ++start) {
      std::uint32_t at = start;
      while (chain[at] == kNone) {
        chain[at] = start;
        if (message.signals[at].ranges.empty()) break;
        at = message.signals[at].multiplexor;
      }
      Signal& signal = message.signals[at];
      if (chain[at] != start || signal.ranges.empty()) continue;
      report_at(signal.line, fmt::format("SG_ {}: multiplexed by itself", printable(signal.name)));
      signal.ranges.clear();
    }
  }

  Database& database_;
  std::string_view text_;
  const char* begin_;
  const char* at_;
  const char* end_;
  const char* statement_ = nullptr;  // where the one at hand begins
  const char* line_at_;              // place whose line is line_
  std::uint32_t line_ = 1;
  std::size_t rewind_budget_;
  bool quiet_ = false;

  // What reports are about: identifier or name, and name of the signal where there is an identifier.
  std::string_view keyword_;
  std::string_view subject_;
  std::string_view subject_part_;

  std::uint32_t signals_of_ = kNone;  // the message that signals belong to
  bool skip_signals_ = false;         // those of a message that was left out
  bool reported_wide_id_ = false;
  bool last_chance_ = false;
  std::size_t signal_count_ = 0;
  std::size_t choice_count_ = 0;
  std::size_t range_count_ = 0;
  std::unordered_map<std::uint32_t, std::uint32_t> messages_;  // by number with bit 31 as it should be
  std::unordered_map<SignalKey, std::uint32_t, SignalKeyHash> signals_;
  std::unordered_map<SignalKey, std::size_t, SignalKeyHash> multiplexor_of_;  // by signal, into multiplexors_
  std::vector<Naming> multiplexors_;
  std::vector<const char*> deferred_;
  std::vector<Naming> long_message_names_;
  std::vector<Naming> long_signal_names_;
  std::vector<std::string_view> frame_formats_;
  std::optional<std::uint32_t> default_cycle_time_;
  std::string_view default_frame_format_;
  std::string_view default_start_value_;
};

}  // namespace

std::optional<std::string_view> find_choice(const Signal& signal, std::uint64_t raw) {
  if (signal.type == ValueType::kFloat) return std::nullopt;
  const auto value = static_cast<std::int64_t>(raw);
  const auto found = std::ranges::lower_bound(signal.choices, value, {}, &Choice::value);
  if (found == signal.choices.end() || found->value != value) return std::nullopt;
  return found->text;
}

Result<Database> parse_dbc(std::string text) {
  if (text.size() > kMaxDbcBytes) {
    return fail(ErrorCode::kBadData,
                fmt::format("database of {}, at most {}", print_size(text.size()), print_size(kMaxDbcBytes)));
  }
  text.erase(0, text.size() - strip_bom(text).size());
  if (find_invalid_utf8(text)) text = utf8_of_windows_1252(text);
  Database database;
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n');
    database.diagnostics.push_back({static_cast<std::uint32_t>(line), "NUL byte, taken for a space"});
    ++database.diagnostic_count;
    std::ranges::replace(text, '\0', ' ');
  }
  database.text = std::make_unique<const std::string>(std::move(text));
  Parser(database).parse();
  return database;
}

}  // namespace fieldpipe::can
