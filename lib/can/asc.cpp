// SPDX-License-Identifier: MIT
#include "can/asc.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>

#include "core/bytes.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// Flags behind the data of CANFD and CANXL lines.
constexpr std::uint32_t kRemoteFlag = 0x10;
constexpr std::uint32_t kFdFlag = 0x1000;
constexpr std::uint32_t kBitRateSwitchFlag = 0x2000;
constexpr std::uint32_t kErrorStateFlag = 0x4000;

constexpr std::uint32_t kBusErrorClass = 0x80;  // CAN_ERR_BUSERROR of linux/can/error.h

// English; the names of other languages that differ are German ones.
constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                   "jul", "aug", "sep", "oct", "nov", "dec"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Whether `text` is a word, which is given in lower case, in any case.
bool is_word(std::string_view text, std::string_view expected) { return std::ranges::equal(text, expected, {}, lower); }

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view take_word(std::string_view& rest) {
  const char* first = rest.data();
  const char* const end = first + rest.size();
  while (first != end && is_space(*first)) ++first;
  const char* last = first;
  while (last != end && !is_space(*last)) ++last;
  rest = {last, static_cast<std::size_t>(end - last)};
  return {first, static_cast<std::size_t>(last - first)};
}

unsigned month_of(std::string_view name) {
  if (name.size() < 3) return 0;
  const auto begins = [&](std::string_view month) { return is_word(name.substr(0, 3), month); };
  for (unsigned i = 0; i < kMonths.size(); ++i) {
    if (begins(kMonths[i])) return i + 1;
  }
  if (begins("mai")) return 5;
  if (begins("okt")) return 10;
  if (begins("dez")) return 12;
  // M\xE4r in Windows-1252, M\xC3\xA4r in UTF-8, Mrz.
  return lower(name[0]) == 'm' && (lower(name[1]) == 'r' || static_cast<unsigned char>(name[1]) >= 0x80U) ? 3 : 0;
}

// Digits behind a point, cut to nanoseconds.
std::optional<std::int64_t> parse_fraction(std::string_view digits) {
  if (digits.empty() || !std::ranges::all_of(digits, is_digit)) return std::nullopt;
  std::int64_t ns = 0;
  std::int64_t place = kNsPerSecond;
  for (const char digit : digits.substr(0, 9)) {
    place /= 10;
    ns += (digit - '0') * place;
  }
  return ns;
}

// `0.876549`; the point is what tells a time stamp from other words.
std::optional<std::int64_t> parse_time(std::string_view word) {
  const std::size_t point = word.find('.');
  if (point == std::string_view::npos || point == 0 || !is_digit(word[0])) return std::nullopt;
  const auto seconds = parse_integer<std::int64_t>(word.substr(0, point));
  const auto fraction = parse_fraction(word.substr(point + 1));
  if (!seconds || !fraction || *seconds > kMaxCandumpSeconds) return std::nullopt;
  return *seconds * kNsPerSecond + *fraction;
}

// `Tue Nov 14 10:13:20.123 pm 2023` at the front of `text`, which is left behind it, as if the zone were UTC. Nothing
// if it is something else.
std::optional<std::int64_t> parse_date(std::string_view& text) {
  take_word(text);
  const unsigned month = month_of(take_word(text));
  const auto day = parse_integer<unsigned>(take_word(text));
  const std::string_view clock = take_word(text);
  std::string_view word = take_word(text);
  const bool afternoon = is_word(word, "pm");
  const bool twelve_hours = afternoon || is_word(word, "am");
  if (twelve_hours) word = take_word(text);
  const auto year = parse_integer<int>(word);

  const std::size_t point = std::min(clock.find('.'), clock.size());
  const auto fraction = point < clock.size() ? parse_fraction(clock.substr(point + 1)) : 0;
  const std::string_view whole = clock.substr(0, point);
  const std::size_t first_colon = std::min(whole.find(':'), whole.size());
  const std::string_view tail = whole.substr(std::min(first_colon + 1, whole.size()));
  const std::size_t second_colon = std::min(tail.find(':'), tail.size());
  auto hour = parse_integer<unsigned>(whole.substr(0, first_colon));
  const auto minute = parse_integer<unsigned>(tail.substr(0, second_colon));
  const auto second = parse_integer<unsigned>(tail.substr(std::min(second_colon + 1, tail.size())));

  if (!month || !day || !year || !hour || !minute || !second || !fraction) return std::nullopt;
  if (twelve_hours) *hour = *hour % 12 + (afternoon ? 12 : 0);
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(month), std::chrono::day(*day)};
  // The years that 64-bit nanoseconds hold whole.
  if (!date.ok() || *year < 1970 || *year > 2261 || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::chrono::sys_seconds time = std::chrono::sys_days(date) + std::chrono::hours(*hour) +
                                        std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return time.time_since_epoch().count() * kNsPerSecond + *fraction;
}

}  // namespace

// Takes a line that begins with a time stamp apart from left to right. The parse_ members return false after filling
// out.fault.
class AscParser::LineParser {
 public:
  LineParser(AscParser& file, std::string_view rest, CandumpLine& out) : file_(file), rest_(rest), out_(out) {}

  LineClass parse() {
    const std::string_view word = take_word(rest_);
    if (word == "CANFD") return result(parse_channel(take_word(rest_)) && parse_fd());
    if (word == "CANXL") return result(parse_channel(take_word(rest_)) && parse_xl());
    // Other events have words here: `Start of measurement`, `SV: ...`, `LIN ...`.
    if (word.empty() || !std::ranges::all_of(word, is_digit)) return LineClass::kNote;
    const std::string_view id = take_word(rest_);
    if (is_word(id, "errorframe")) return result(parse_channel(word) && make_error());
    std::string_view behind = rest_;
    // `1 Statistic: ...`, `1 J1939TP ...` and the like are no frames.
    if (!is_direction(take_word(behind))) return LineClass::kNote;
    return result(parse_channel(word) && parse_classic(id));
  }

 private:
  static LineClass result(bool parsed) { return parsed ? LineClass::kFrame : LineClass::kBad; }
  static bool is_direction(std::string_view word) { return word == "Rx" || word == "Tx" || word == "TxRq"; }

  bool refuse(std::string_view reason, std::string_view text) {
    out_.fault = {reason, text, {}};
    return false;
  }

  bool parse_channel(std::string_view word) {
    const auto channel = parse_integer<unsigned>(word);
    if (!channel || *channel == 0 || *channel > kMaxAscChannel) return refuse("channel must be 1 to 255", word);
    std::memcpy(file_.interface_.data(), "can", 3);
    char* const first = file_.interface_.data() + 3;
    const char* const end = std::to_chars(first, file_.interface_.data() + file_.interface_.size(), *channel - 1).ptr;
    out_.interface = {file_.interface_.data(), static_cast<std::size_t>(end - file_.interface_.data())};
    return true;
  }

  bool parse_direction() {
    const std::string_view word = take_word(rest_);
    if (!is_direction(word)) return refuse("direction must be Rx or Tx", word);
    out_.direction = word == "Rx" ? 'R' : 'T';
    return true;
  }

  bool parse_id(std::string_view word, int base) {
    Frame& frame = out_.frame;
    frame.extended = word.ends_with('x') || word.ends_with('X');
    const auto id = parse_integer<std::uint32_t>(word.substr(0, word.size() - (frame.extended ? 1 : 0)), base);
    if (!id) return refuse("identifier must be a number, with x behind it if it has 29 bits", word);
    if (*id > (frame.extended ? kMaxExtendedId : kMaxStandardId))
      return refuse("identifier above 7FF, or 1FFFFFFF with x", word);
    frame.id = *id;
    return true;
  }

  bool parse_code(std::string_view word, unsigned& code) {
    const auto value = parse_integer<unsigned>(word, 16);
    if (!value || *value > 15) return refuse("length code must be a hex digit", word);
    code = *value;
    return true;
  }

  // Bytes with a space between each; those of classic lines may have one digit or, in base 10, three.
  bool parse_data(std::size_t length, int base) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::string_view word = take_word(rest_);
      if (word.empty()) return refuse("fewer data bytes than the length says", {});
      const auto value = parse_byte(word, base);
      if (!value) return refuse("data byte must be a number up to 255 in the base of the file", word);
      out_.frame.data[i] = static_cast<std::byte>(*value);
    }
    return true;
  }

  static std::optional<std::uint8_t> parse_byte(std::string_view word, int base) {
    if (base == 16 && word.size() == 2) {
      const unsigned high = kHexValue[static_cast<unsigned char>(word[0])];
      const unsigned low = kHexValue[static_cast<unsigned char>(word[1])];
      if ((high | low) > 15) return std::nullopt;
      return static_cast<std::uint8_t>(high << 4U | low);
    }
    return parse_integer<std::uint8_t>(word, base);
  }

  // A length code above 8 means 8 bytes.
  void set_classic(unsigned code, bool remote) {
    Frame& frame = out_.frame;
    frame.kind = remote ? Kind::kRemote : Kind::kClassic;
    frame.dlc = static_cast<std::uint8_t>(code);
    frame.length_bytes = static_cast<std::uint8_t>(std::min<std::size_t>(code, kMaxClassicBytes));
  }

  // `Rx d 2 11 22`, behind the identifier.
  bool parse_classic(std::string_view id) {
    if (!parse_direction() || !parse_id(id, file_.base_)) return false;
    const std::string_view kind = take_word(rest_);
    const bool remote = kind == "r";
    if (!remote && kind != "d") return refuse("frame must be of kind d or r", kind);
    const std::string_view word = take_word(rest_);
    unsigned code = 0;
    // Old files give remote frames no length.
    const bool no_code = remote && (word.empty() || word == "Length");
    if (!no_code && !parse_code(word, code)) return false;
    set_classic(code, remote);
    return remote || parse_data(out_.frame.length_bytes, file_.base_);
  }

  bool make_error() {
    Frame& frame = out_.frame;
    set_classic(kMaxClassicBytes, false);
    frame.kind = Kind::kError;
    frame.id = kBusErrorClass;
    frame.extended = false;
    std::ranges::fill(frame.data, std::byte{0});
    out_.direction = 0;
    return true;
  }

  // Length code and number of bytes behind an identifier and perhaps a name.
  bool parse_lengths(std::string_view word, unsigned& code, std::size_t& length) {
    if (!parse_code(word, code)) return false;
    const std::string_view bytes = take_word(rest_);
    const auto value = parse_integer<std::size_t>(bytes);
    if (!value || *value > kMaxFdBytes) return refuse("data length must be 0 to 64", bytes);
    length = *value;
    return true;
  }

  // Data, `skipped` numbers, flags. Without flags it is a frame of kind `fd`.
  bool parse_tail(unsigned code, std::size_t length, std::size_t skipped, bool fd) {
    if (!parse_data(length, 16)) return false;
    for (std::size_t i = 0; i < skipped; ++i) take_word(rest_);
    const std::string_view word = take_word(rest_);
    const auto flags = parse_integer<std::uint32_t>(word, 16);
    if (!flags && !word.empty()) return refuse("flags must be a hex number", word);
    Frame& frame = out_.frame;
    if (flags) fd = (*flags & kFdFlag) != 0;
    if (!fd) {
      const bool remote = flags && (*flags & kRemoteFlag) != 0;
      if (length > kMaxClassicBytes) return refuse("a classic frame holds at most 8 bytes", word);
      if (!remote && length != std::min<std::size_t>(code, kMaxClassicBytes)) {
        return refuse("length code and data length contradict each other", word);
      }
      frame.bit_rate_switch = frame.error_state = false;
      set_classic(code, remote);
      return true;
    }
    frame.kind = Kind::kFd;
    frame.length_bytes = static_cast<std::uint8_t>(length);
    frame.dlc = kFdCodeOfLength[length];
    if (flags) {
      frame.bit_rate_switch = (*flags & kBitRateSwitchFlag) != 0;
      frame.error_state = (*flags & kErrorStateFlag) != 0;
    }
    out_.flags_shown = true;
    return true;
  }

  // `Rx 123 Name 1 0 3 3 AA BB CC 130000 130 3000 ...`; the name may be missing. All but the data length is hex.
  bool parse_fd() {
    if (!parse_direction() || !parse_id(take_word(rest_), 16)) return false;
    const auto is_flag = [](std::string_view word) { return word == "0" || word == "1"; };
    std::string_view switched = take_word(rest_);
    if (!is_flag(switched)) switched = take_word(rest_);
    const std::string_view state = take_word(rest_);
    if (!is_flag(switched) || !is_flag(state))
      return refuse("BRS and ESI must be 0 or 1", is_flag(switched) ? state : switched);
    out_.frame.bit_rate_switch = switched == "1";
    out_.frame.error_state = state == "1";
    unsigned code = 0;
    std::size_t length = 0;
    return parse_lengths(take_word(rest_), code, length) && parse_tail(code, length, 2, true);
  }

  // `Rx CBFF 243215 176 432 Name f 8 E1 ... 174 00000000 ...`, of any kind of frame; the name may be missing.
  bool parse_xl() {
    if (!parse_direction()) return false;
    const std::string_view format = take_word(rest_);
    const bool classic = format == "CBFF" || format == "CEFF";
    const bool fd = format == "FBFF" || format == "FEFF";
    if (!classic && !fd && format != "XLFF")
      return refuse("frame format must be CBFF, CEFF, FBFF, FEFF or XLFF", format);
    take_word(rest_);  // duration
    take_word(rest_);  // number of bits
    if (!parse_id(take_word(rest_), 16)) return false;
    if (!classic && !fd) {
      out_.frame.kind = Kind::kXl;
      return true;
    }
    // Of a name and a length code only the latter is followed by a decimal number.
    std::string_view word = take_word(rest_);
    std::string_view behind = rest_;
    unsigned code = 0;
    std::size_t length = 0;
    const std::string_view next = take_word(behind);
    if (word.size() > 1 || !parse_integer<unsigned>(word, 16) || !parse_integer<unsigned>(next))
      word = take_word(rest_);
    return parse_lengths(word, code, length) && parse_tail(code, length, fd ? 2 : 1, fd);
  }

  AscParser& file_;
  std::string_view rest_;
  CandumpLine& out_;
};

bool AscParser::is_header(std::string_view line) {
  const std::string_view word = take_word(line);
  return is_word(word, "date") || (is_word(word, "base") && !take_word(line).empty());
}

LineClass AscParser::parse_header(std::string_view word, std::string_view rest, CandumpLine& out) {
  if (is_word(word, "date")) {
    const std::string_view text = rest;
    start_ns_ = parse_date(rest);
    if (!start_ns_) {
      out.fault = {"date must be as in Tue Nov 14 10:13:20 pm 2023", trimmed(text), {}};
      return LineClass::kBad;
    }
    // Some writers put all of the header on one line.
    word = take_word(rest);
  }
  if (is_word(word, "base")) {
    base_ = is_word(take_word(rest), "hex") ? 16 : 10;
    if (is_word(take_word(rest), "timestamps")) since_last_ = is_word(take_word(rest), "relative");
  }
  if (is_word(word, "begin") && is_word(take_word(rest), "triggerblock") && !start_ns_) start_ns_ = parse_date(rest);
  return LineClass::kNote;
}

LineClass AscParser::parse(std::string_view line, CandumpLine& out) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kMaxAscLineBytes) {
    out.fault = {"line above 8192 bytes", line, {}};
    return LineClass::kBad;
  }
  std::string_view rest = line;
  const std::string_view first = take_word(rest);
  const auto time = parse_time(first);
  if (!time) return parse_header(first, rest, out);

  // Differences add up over all lines, also those of other events. Beyond the end of time they stay there.
  constexpr std::int64_t kMaxNs = kMaxCandumpSeconds * kNsPerSecond;
  const auto sum = [](std::int64_t a, std::int64_t b) { return a > kMaxNs - b ? kMaxNs : a + b; };
  last_ns_ = since_last_ ? sum(last_ns_, *time) : std::min(*time, kMaxNs);
  out.time_base = start_ns_ ? TimeBase::kLocal : TimeBase::kRelative;
  out.time_ns = start_ns_ ? sum(*start_ns_, last_ns_) : last_ns_;
  out.direction = 0;
  out.flags_shown = false;
  out.frame.length_bytes = out.frame.dlc = 0;
  out.frame.bit_rate_switch = out.frame.error_state = false;
  return LineParser(*this, rest, out).parse();
}

}  // namespace fieldpipe::can
