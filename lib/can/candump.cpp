// SPDX-License-Identifier: MIT
#include "can/candump.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "core/bytes.h"
#include "core/text.h"

namespace fieldpipe::can {
namespace {

// Flags in the 32-bit identifier of SocketCAN (linux/can.h).
constexpr std::uint32_t kExtendedFlag = 1U << 31U;
constexpr std::uint32_t kRemoteFlag = 1U << 30U;
constexpr std::uint32_t kErrorFlag = 1U << 29U;

// Bits of the digit after "##". A third one, 4, says "CAN FD" again.
constexpr unsigned kBitRateSwitch = 1;
constexpr unsigned kErrorState = 2;

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
// candump pads seconds since 1970 to ten digits, and those of -td and -tz to three.
constexpr std::size_t kAbsoluteDigits = 10;

constexpr unsigned kFirstRawCode = 9;  // length codes above 8 that still mean 8 bytes
constexpr std::size_t kMaxXlBytes = 2048;
constexpr std::size_t kMaxShownXlBytes = 64;

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
unsigned hex_value(char c) { return kHexValue[static_cast<unsigned char>(c)]; }
bool is_hex(char c) { return hex_value(c) != kNotHex; }

bool all_hex(std::string_view text) { return std::all_of(text.begin(), text.end(), is_hex); }
bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

// What the kernel allows in an interface name (dev_valid_name in net/core/dev.c), less control characters.
constexpr std::array<bool, 256> kInInterface = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = '!'; c < table.size(); ++c) table[c] = c != '/' && c != ':' && c != 0x7F;
  return table;
}();

bool in_interface(char c) { return kInInterface[static_cast<unsigned char>(c)]; }

// The plain log form is what logs and busy pipes consist of. It is read eight characters at a time, in a 64-bit word
// with the first character in the lowest byte.

constexpr std::uint64_t each_byte(std::uint64_t value) { return value * 0x0101010101010101U; }

std::uint64_t load_word(const char* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

bool are_digits(std::uint64_t word) {
  return ((word & each_byte(0xF0)) | ((word + each_byte(0x06)) & each_byte(0xF0)) >> 4U) == each_byte(0x33);
}

// The number that eight decimal digits spell: neighbours are joined to pairs, fours and eights.
std::uint32_t decimal_of(std::uint64_t digits) {
  digits = (digits & each_byte(0x0F)) * (1 + (10U << 8U)) >> 8U;
  digits = (digits & 0x00FF00FF00FF00FFU) * (1 + (std::uint64_t{100} << 16U)) >> 16U;
  return static_cast<std::uint32_t>((digits & 0x0000FFFF0000FFFFU) * (1 + (std::uint64_t{10'000} << 32U)) >> 32U);
}

struct HexWord {
  std::uint64_t bytes;    // the four bytes, the first one lowest
  std::uint64_t invalid;  // top bit of each character that is no hex digit
};

inline HexWord decode_word(std::uint64_t word) {
  constexpr std::uint64_t kTop = each_byte(0x80);
  const std::uint64_t ascii = word & ~kTop;
  const std::uint64_t lower = ascii | each_byte(0x20);
  // Adding 0x80 - c sets the top bit of the bytes that are at least c; none overflows, all are below 0x80.
  const std::uint64_t digit = (ascii + each_byte(0x80 - '0')) & ~(ascii + each_byte(0x80 - '9' - 1));
  const std::uint64_t letter = (lower + each_byte(0x80 - 'a')) & ~(lower + each_byte(0x80 - 'f' - 1)) & kTop;
  const std::uint64_t nibbles = (ascii & each_byte(0x0F)) + (letter >> 7U) * 9;
  std::uint64_t bytes = (nibbles << 4U | nibbles >> 8U) & 0x00FF00FF00FF00FFU;
  bytes = (bytes | bytes >> 8U) & 0x0000FFFF0000FFFFU;
  bytes = (bytes | bytes >> 16U) & 0x00000000FFFFFFFFU;
  return {bytes, (~(digit | letter) | word) & kTop};
}

// Of the last 16 characters of a line, those that n data bytes take: {first eight, last eight}.
constexpr std::array<std::array<std::uint64_t, 2>, kMaxClassicBytes + 1> kDataMask = [] {
  std::array<std::array<std::uint64_t, 2>, kMaxClassicBytes + 1> table{};
  for (std::size_t n = 1; n <= kMaxClassicBytes; ++n) {
    table[n][1] = n >= 4 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - 16 * n);
    if (n > 4) table[n][0] = ~std::uint64_t{0} << (128 - 16 * n);
  }
  return table;
}();

// `text` is the hex digits of at most 8 bytes, with 16 characters of the line at and before its end.
bool decode_classic_data(std::string_view text, Frame& frame) {
  if (text.size() % 2 != 0 || text.size() > 2 * kMaxClassicBytes) return false;
  const std::size_t n = text.size() / 2;
  const char* const end = text.data() + text.size();
  const HexWord first = decode_word(load_word(end - 16));
  const HexWord last = decode_word(load_word(end - 8));
  if (((first.invalid & kDataMask[n][0]) | (last.invalid & kDataMask[n][1])) != 0) return false;
  // Shifted in two steps, because a shift by 64 is undefined.
  const std::size_t half_shift = 4 * (kMaxClassicBytes - n);
  const std::uint64_t bytes = (first.bytes | last.bytes << 32U) >> half_shift >> half_shift;
  std::memcpy(frame.data.data(), &bytes, sizeof(bytes));
  frame.length_bytes = frame.dlc = static_cast<std::uint8_t>(n);
  return true;
}

bool decode_fd_data(std::string_view text, Frame& frame) {
  if (text.size() % 2 != 0 || text.size() > 2 * kMaxFdBytes) return false;
  std::size_t n = 0;
  std::uint64_t invalid = 0;
  for (; text.size() - 2 * n >= 8; n += 4) {
    const HexWord word = decode_word(load_word(text.data() + 2 * n));
    std::memcpy(frame.data.data() + n, &word.bytes, 4);
    invalid |= word.invalid;
  }
  unsigned not_hex = 0;
  for (; 2 * n < text.size(); ++n) {
    const unsigned high = hex_value(text[2 * n]);
    const unsigned low = hex_value(text[2 * n + 1]);
    frame.data[n] = static_cast<std::byte>(high << 4U | low);
    not_hex |= high | low;
  }
  if (invalid != 0 || not_hex > 15) return false;
  frame.length_bytes = static_cast<std::uint8_t>(n);
  frame.dlc = kFdCodeOfLength[n];
  return true;
}

// Parses `(1700000000.123456) can0 123#1122`: absolute time with six decimals, data frame, perhaps a direction.
// False says only that the line is not of this kind; LineParser gives each line that is the same meaning.
bool parse_plain_log(std::string_view line, CandumpLine& out) {
  if constexpr (std::endian::native != std::endian::little) return false;
  constexpr std::size_t kTimeBytes = std::string_view("(1700000000.123456) ").size();
  constexpr std::size_t kLeastBytes = kTimeBytes + std::string_view("c 123#").size();
  if (line.size() < kLeastBytes) return false;
  const char* const begin = line.data();
  const char* end = begin + line.size();

  const std::uint64_t seconds_word = load_word(begin + 1);
  const std::uint64_t fraction_word = load_word(begin + 12) << 16U | ('0' << 8U | '0');
  const auto tens = static_cast<unsigned>(begin[9] - '0');
  const auto ones = static_cast<unsigned>(begin[10] - '0');
  if (begin[0] != '(' || begin[11] != '.' || begin[18] != ')' || begin[19] != ' ') return false;
  if (!are_digits(seconds_word) || !are_digits(fraction_word) || tens > 9 || ones > 9) return false;
  const std::uint64_t seconds = std::uint64_t{decimal_of(seconds_word)} * 100 + tens * 10 + ones;
  if (static_cast<std::int64_t>(seconds) > kMaxCandumpSeconds) return false;

  char direction = 0;
  if (end[-2] == ' ' && (end[-1] == 'R' || end[-1] == 'T')) {
    direction = end[-1];
    end -= 2;
  }

  const char* name = begin + kTimeBytes;
  while (name != end && *name == ' ') ++name;
  const char* at = name;
  while (at != end && in_interface(*at)) ++at;
  const auto name_bytes = static_cast<std::size_t>(at - name);
  if (name_bytes == 0 || name_bytes > kMaxInterfaceBytes || end - at < 5 || *at != ' ') return false;
  ++at;

  Frame& frame = out.frame;
  if (at[3] == '#') {
    const unsigned id = hex_value(at[0]) << 8U | hex_value(at[1]) << 4U | hex_value(at[2]);
    if (!is_hex(at[1]) || !is_hex(at[2]) || id > kMaxStandardId) return false;
    frame.id = id;
    frame.extended = false;
    at += 4;
  } else if (end - at >= 9 && at[8] == '#') {
    const HexWord word = decode_word(load_word(at));
    const auto bytes = static_cast<std::uint32_t>(word.bytes);
    const std::uint32_t id = bytes << 24U | (bytes & 0xFF00U) << 8U | (bytes >> 8U & 0xFF00U) | bytes >> 24U;
    if (word.invalid != 0 || id > kMaxExtendedId) return false;
    frame.id = id;
    frame.extended = true;
    at += 9;
  } else {
    return false;
  }

  if (end - at >= 2 && *at == '#') {
    const unsigned flags = hex_value(at[1]);
    if (flags > 15 || !decode_fd_data({at + 2, end}, frame)) return false;
    frame.kind = Kind::kFd;
    frame.bit_rate_switch = (flags & kBitRateSwitch) != 0;
    frame.error_state = (flags & kErrorState) != 0;
  } else {
    if (!decode_classic_data({at, end}, frame)) return false;
    frame.kind = Kind::kClassic;
    frame.bit_rate_switch = frame.error_state = false;
  }
  out.flags_shown = frame.kind == Kind::kFd;
  out.time_base = TimeBase::kAbsolute;
  out.time_ns = static_cast<std::int64_t>(seconds) * kNsPerSecond + std::int64_t{decimal_of(fraction_word)} * 1000;
  out.direction = direction;
  out.interface = {name, name_bytes};
  return true;
}

constexpr std::string_view kBadData = "data must be bytes of two hex digits";
constexpr std::string_view kFewerBytes = "fewer data bytes than the length in brackets";
constexpr std::string_view kMoreBytes = "more data bytes than the length in brackets";
constexpr std::string_view kTooLongClassic = "a classic frame holds at most 8 bytes";
constexpr std::string_view kTooLongFd = "a CAN FD frame holds at most 64 bytes";
constexpr std::string_view kXlLength = "a CAN XL frame holds 1 to 2048 bytes";
constexpr std::string_view kErrorForm = "an error message can be neither remote nor CAN FD";
constexpr std::string_view kViewHint = "take the log with candump -L, or without -S and -i";

// Takes one line apart from left to right. The parse_ members return false after filling out.fault.
class LineParser {
 public:
  LineParser(std::string_view line, CandumpLine& out) : rest_(line), out_(out) {}

  bool parse() {
    const std::size_t indent = skip_spaces();
    // candump puts at most one space before a time stamp and at least two before an interface that comes first, and
    // an interface may be called "(if)".
    const bool has_time = rest_.starts_with('(') && (indent < 2 || (rest_.size() > 1 && is_digit(rest_[1])));
    out_.time_base = TimeBase::kNone;
    out_.time_ns = 0;
    if (has_time && !parse_time()) return false;
    skip_spaces();
    if (!parse_interface()) return false;
    skip_spaces();
    out_.direction = 0;
    out_.flags_shown = false;
    out_.frame.kind = Kind::kClassic;
    out_.frame.length_bytes = out_.frame.dlc = 0;
    out_.frame.bit_rate_switch = out_.frame.error_state = false;
    if (const std::size_t hash = next_word().find('#'); hash != std::string_view::npos) {
      return parse_log_frame(hash) && parse_direction_letter();
    }
    return parse_direction_marks() && parse_screen_frame();
  }

 private:
  bool refuse(std::string_view reason, std::string_view text, std::string_view hint = {}) {
    out_.fault = {reason, text, hint};
    return false;
  }

  std::size_t skip_spaces() {
    std::size_t n = 0;
    while (n < rest_.size() && is_space(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n;
  }

  std::string_view next_word() const {
    std::size_t n = 0;
    while (n < rest_.size() && !is_space(rest_[n])) ++n;
    return rest_.substr(0, n);
  }

  std::string_view take_word() {
    const std::string_view word = next_word();
    rest_.remove_prefix(word.size());
    return word;
  }

  bool parse_time() {
    const std::size_t close = rest_.find(')');
    if (close == std::string_view::npos) return refuse("time stamp without closing parenthesis", rest_);
    const std::string_view text = rest_.substr(1, close - 1);
    rest_.remove_prefix(close + 1);
    if (!rest_.empty() && !is_space(rest_[0])) return refuse("no space after the time stamp", rest_);

    const bool calendar = text.size() > 4 && text[4] == '-';
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    std::int64_t fraction_ns = 0;
    if (point < text.size() && !parse_fraction(text.substr(point + 1), fraction_ns)) {
      return refuse("fraction of the time stamp must be decimal digits", text);
    }
    if (calendar ? !parse_calendar(whole) : !parse_seconds(whole)) return false;
    out_.time_ns += fraction_ns;
    return true;
  }

  static bool parse_fraction(std::string_view digits, std::int64_t& ns) {
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return false;
    std::int64_t place = kNsPerSecond;
    for (const char digit : digits.substr(0, 9)) {
      place /= 10;
      ns += (digit - '0') * place;
    }
    return true;
  }

  bool parse_seconds(std::string_view digits) {
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) {
      return refuse("time stamp must be decimal seconds or a calendar time", digits);
    }
    const auto seconds = parse_integer<std::int64_t>(digits);
    if (!seconds || *seconds > kMaxCandumpSeconds) return refuse("time stamp above 9223372035 seconds", digits);
    out_.time_base = digits.size() >= kAbsoluteDigits ? TimeBase::kAbsolute : TimeBase::kRelative;
    out_.time_ns = *seconds * kNsPerSecond;
    return true;
  }

  // `YYYY-MM-DD HH:MM:SS`, or with a T in the middle.
  bool parse_calendar(std::string_view text) {
    constexpr std::string_view kPattern = "0000-00-00 00:00:00";
    const auto number = [&](std::size_t from, std::size_t digits) {
      return static_cast<int>(parse_integer<unsigned>(text.substr(from, digits)).value_or(0));
    };
    bool fits = text.size() == kPattern.size();
    for (std::size_t i = 0; fits && i < text.size(); ++i) {
      fits = kPattern[i] == '0' ? is_digit(text[i]) : text[i] == kPattern[i] || (i == 10 && text[i] == 'T');
    }
    if (!fits) return refuse("calendar time must be YYYY-MM-DD HH:MM:SS", text);
    const std::chrono::year_month_day date(std::chrono::year(number(0, 4)),
                                           std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                           std::chrono::day(static_cast<unsigned>(number(8, 2))));
    const int hour = number(11, 2);
    const int minute = number(14, 2);
    const int second = number(17, 2);
    if (!date.ok() || hour > 23 || minute > 59 || second > 59) return refuse("no such date or time of day", text);
    // The years that 64-bit nanoseconds hold whole.
    if (number(0, 4) < 1678 || number(0, 4) > 2261) return refuse("year must be 1678 to 2261", text);
    const std::chrono::sys_seconds time = std::chrono::sys_days(date) + std::chrono::hours(hour) +
                                          std::chrono::minutes(minute) + std::chrono::seconds(second);
    out_.time_base = TimeBase::kLocal;
    out_.time_ns = time.time_since_epoch().count() * kNsPerSecond;
    return true;
  }

  bool parse_interface() {
    const std::string_view name = take_word();
    if (is_blank(rest_)) return refuse("interface or frame is missing", name);
    if (name.size() > kMaxInterfaceBytes) return refuse("interface name above 15 bytes", name);
    if (!std::all_of(name.begin(), name.end(), in_interface)) {
      return refuse("interface name with a slash, colon or control character", name);
    }
    out_.interface = name;
    return true;
  }

  // The R or T of -x in log form; what other writers put behind it is ignored.
  bool parse_direction_letter() {
    skip_spaces();
    const std::string_view word = take_word();
    if (word.empty()) return true;
    if (word == "R" || word == "r") {
      out_.direction = 'R';
    } else if (word == "T" || word == "t") {
      out_.direction = 'T';
    } else {
      return refuse("text after the frame that is no direction R or T", word);
    }
    return true;
  }

  // The `RX B E` of -x in screen form. The marks say something of CAN FD and CAN XL frames only.
  bool parse_direction_marks() {
    const std::string_view word = next_word();
    if (word != "RX" && word != "TX") return true;
    const bool fits = rest_.size() > 7 && rest_[2] == ' ' && rest_[4] == ' ' && rest_[6] == ' ' &&
                      std::string_view("-BS").find(rest_[3]) != std::string_view::npos &&
                      std::string_view("-ER").find(rest_[5]) != std::string_view::npos;
    if (!fits) return refuse("direction without its two marks", rest_);
    out_.direction = word[0];
    out_.frame.bit_rate_switch = rest_[3] == 'B';
    out_.frame.error_state = rest_[5] == 'E';
    rest_.remove_prefix(7);
    skip_spaces();
    return true;
  }

  bool parse_id(std::string_view digits) {
    if (!all_hex(digits)) return refuse("identifier must be hex digits", digits);
    if (digits.size() != 3 && digits.size() != 8) return refuse("identifier must have 3 or 8 hex digits", digits);
    const std::uint32_t id = parse_integer<std::uint32_t>(digits, 16).value_or(0);
    Frame& frame = out_.frame;
    frame.extended = digits.size() == 8;
    if (!frame.extended && id > kMaxStandardId) return refuse("identifier of 3 digits above 7FF", digits);
    if ((id & (kExtendedFlag | kRemoteFlag)) != 0) return refuse("identifier of 8 digits above 3FFFFFFF", digits);
    if ((id & kErrorFlag) != 0) {
      frame.kind = Kind::kError;
      frame.extended = false;
    }
    frame.id = id & ~kErrorFlag;
    return true;
  }

  // `123#1122`, `123#R4`, `123##51122`, `45123#81:00:12345678#1122`; the identifier ends at `hash`.
  bool parse_log_frame(std::size_t hash) {
    const std::string_view word = take_word();
    const std::string_view id = word.substr(0, hash);
    const std::string_view body = word.substr(hash + 1);
    if (id.size() == 5 && all_hex(id)) return parse_log_xl(id, body);
    if (!parse_id(id)) return false;
    if (body.starts_with('#')) return parse_log_fd(body.substr(1));
    if (body.starts_with('R') || body.starts_with('r')) return parse_log_remote(body.substr(1));
    return parse_log_classic(body);
  }

  bool parse_log_classic(std::string_view body) {
    const std::size_t mark = std::min(body.find('_'), body.size());
    if (!parse_packed(body.substr(0, mark), kMaxClassicBytes, kTooLongClassic)) return false;
    out_.frame.dlc = out_.frame.length_bytes;
    return mark == body.size() || parse_raw_code(body.substr(mark + 1));
  }

  bool parse_log_remote(std::string_view body) {
    Frame& frame = out_.frame;
    if (frame.kind == Kind::kError) return refuse(kErrorForm, body);
    frame.kind = Kind::kRemote;
    if (body.empty()) return true;
    if (body[0] < '0' || body[0] > '8') return refuse("length of a remote frame must be 0 to 8", body);
    frame.length_bytes = frame.dlc = static_cast<std::uint8_t>(body[0] - '0');
    if (body.size() == 1) return true;
    if (body[1] != '_') return refuse("length of a remote frame must be one digit", body);
    return parse_raw_code(body.substr(2));
  }

  // The code behind `_`, which candump prints where it is above 8.
  bool parse_raw_code(std::string_view code) {
    if (code.size() != 1 || !is_hex(code[0]) || hex_value(code[0]) < kFirstRawCode) {
      return refuse("raw length code must be 9 to F", code);
    }
    if (out_.frame.length_bytes != kMaxClassicBytes) return refuse("raw length code without 8 bytes", code);
    out_.frame.dlc = static_cast<std::uint8_t>(hex_value(code[0]));
    return true;
  }

  bool parse_log_fd(std::string_view body) {
    Frame& frame = out_.frame;
    if (frame.kind == Kind::kError) return refuse(kErrorForm, body);
    if (body.empty() || !is_hex(body[0])) return refuse("flags of a CAN FD frame must be a hex digit", body);
    const unsigned flags = hex_value(body[0]);
    if (!parse_packed(body.substr(1), kMaxFdBytes, kTooLongFd)) return false;
    set_fd((flags & kBitRateSwitch) != 0, (flags & kErrorState) != 0, true);
    return true;
  }

  void set_fd(bool bit_rate_switch, bool error_state, bool shown) {
    Frame& frame = out_.frame;
    frame.kind = Kind::kFd;
    frame.dlc = kFdCodeOfLength[frame.length_bytes];
    frame.bit_rate_switch = bit_rate_switch;
    frame.error_state = error_state;
    out_.flags_shown = shown;
  }

  // `id` is VCID and priority, `body` flags, SDT, AF and data: `81:00:12345678#1122`.
  bool parse_log_xl(std::string_view id, std::string_view body) {
    const std::size_t hash = std::min(body.find('#'), body.size());
    if (!is_xl_header(body.substr(0, hash), "00:00:00000000")) return refuse("malformed CAN XL header", body);
    const std::string_view data = body.substr(std::min(hash + 1, body.size()));
    if (data.size() % 2 != 0 || !all_hex(data)) return refuse(kBadData, data);
    if (data.empty() || data.size() / 2 > kMaxXlBytes) return refuse(kXlLength, data);
    return set_xl(id.substr(2));
  }

  // Whether `text` is `pattern` with hex digits in place of its zeros.
  static bool is_xl_header(std::string_view text, std::string_view pattern) {
    return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(),
                      [](char c, char expected) { return expected == '0' ? is_hex(c) : c == expected; });
  }

  bool set_xl(std::string_view priority) {
    if (!parse_id(priority)) return false;
    Frame& frame = out_.frame;
    frame.kind = Kind::kXl;
    frame.length_bytes = frame.dlc = 0;
    frame.bit_rate_switch = frame.error_state = false;
    return true;
  }

  // Data of the log form. can-utils' reader takes a dot before each byte.
  bool parse_packed(std::string_view text, std::size_t max_bytes, std::string_view too_long) {
    Frame& frame = out_.frame;
    std::size_t n = 0;
    for (std::size_t i = 0; i < text.size(); i += 2) {
      if (text[i] == '.') ++i;
      if (text.size() - i < 2 || !is_hex(text[i]) || !is_hex(text[i + 1])) return refuse(kBadData, text);
      if (n == max_bytes) return refuse(too_long, text);
      frame.data[n++] = static_cast<std::byte>(hex_value(text[i]) << 4U | hex_value(text[i + 1]));
    }
    frame.length_bytes = static_cast<std::uint8_t>(n);
    return true;
  }

  // `123   [2]  11 22` and so on. One digit in the brackets is a classic frame, two are CAN FD, four CAN XL.
  bool parse_screen_frame() {
    const std::string_view id = take_word();
    const bool bit_rate_switch = out_.frame.bit_rate_switch;
    const bool error_state = out_.frame.error_state;
    if (!parse_id(id)) return false;
    skip_spaces();
    const bool raw = rest_.starts_with('{');
    if (!raw && !rest_.starts_with('[')) return refuse("no length in brackets after the identifier", rest_);
    const std::string_view bracket = take_word();
    const std::string_view digits = bracket.substr(1, bracket.size() > 2 ? bracket.size() - 2 : 0);
    const bool closed = bracket.ends_with(raw ? '}' : ']');
    if (!closed || !(raw ? all_hex(digits) : std::all_of(digits.begin(), digits.end(), is_digit))) {
      return refuse("length in brackets must be a number", bracket);
    }
    const std::size_t length = parse_integer<std::size_t>(digits, raw ? 16 : 10).value_or(0);

    Frame& frame = out_.frame;
    if (digits.size() == 1) {
      frame.bit_rate_switch = frame.error_state = false;
      if (!raw && length > kMaxClassicBytes) return refuse(kTooLongClassic, bracket);
      frame.dlc = static_cast<std::uint8_t>(length);
      frame.length_bytes = static_cast<std::uint8_t>(std::min(length, kMaxClassicBytes));
      skip_spaces();
      if (constexpr std::string_view kRemote = "remote request"; rest_.starts_with(kRemote)) {
        if (frame.kind == Kind::kError) return refuse(kErrorForm, rest_);
        frame.kind = Kind::kRemote;
        rest_.remove_prefix(kRemote.size());
        skip_spaces();
        return rest_.empty() || refuse("text after a remote frame", rest_);
      }
      return parse_spread(frame.length_bytes) && parse_text_column();
    }
    if (digits.size() == 2 && !raw) {
      if (frame.kind == Kind::kError) return refuse(kErrorForm, bracket);
      if (length > kMaxFdBytes) return refuse(kTooLongFd, bracket);
      frame.length_bytes = static_cast<std::uint8_t>(length);
      set_fd(bit_rate_switch, error_state, out_.direction != 0);
      skip_spaces();
      return parse_spread(length) && parse_text_column();
    }
    if (digits.size() == 4 && !raw) {
      if (length == 0 || length > kMaxXlBytes) return refuse(kXlLength, bracket);
      return parse_screen_xl(id, length);
    }
    return refuse("length in brackets must have 1, 2 or 4 digits", bracket);
  }

  // ` (45|81:00:12345678) 11 22`; beyond 64 bytes candump cuts the data and prints ` ...`.
  bool parse_screen_xl(std::string_view priority, std::size_t length) {
    skip_spaces();
    const std::string_view header = take_word();
    if (!is_xl_header(header, "(00|00:00:00000000)")) return refuse("malformed CAN XL header", header);
    if (priority.size() != 3) return refuse("priority of a CAN XL frame must have 3 hex digits", priority);
    skip_spaces();
    if (!parse_spread(std::min(length, kMaxShownXlBytes))) return false;
    if (length > kMaxShownXlBytes) {
      skip_spaces();
      if (!rest_.starts_with("...")) return refuse("CAN XL data above 64 bytes must end in ...", rest_);
      rest_.remove_prefix(3);
    }
    skip_spaces();
    return (rest_.empty() || refuse(kMoreBytes, rest_)) && set_xl(priority);
  }

  // Exactly n bytes of the screen form: hex or, with -i, binary; in bus order or, with -S, joined by ` and reversed.
  // The first byte and what follows it show which view it is, and all others must agree.
  bool parse_spread(std::size_t n) {
    if (n == 0) return true;
    std::size_t digits = 0;
    while (digits < rest_.size() && is_hex(rest_[digits])) ++digits;
    if (digits == 0) return refuse(rest_.empty() ? kFewerBytes : kBadData, rest_);
    if (digits != 2 && digits != 8) return refuse("data bytes must have 2 hex or 8 binary digits", rest_, kViewHint);
    const bool reversed = n > 1 && digits < rest_.size() && rest_[digits] == '`';
    const std::size_t bits_per_digit = digits == 2 ? 4 : 1;
    Frame& frame = out_.frame;
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0 && !parse_separator(reversed)) return false;
      if (rest_.size() < digits) return refuse(kFewerBytes, rest_);
      unsigned value = 0;
      for (const char c : rest_.substr(0, digits)) {
        const unsigned digit = hex_value(c);
        if (digit >> bits_per_digit != 0) {
          if (digits == 2) return refuse(kFewerBytes, rest_);
          return refuse("binary data byte with other digits than 0 and 1", rest_, kViewHint);
        }
        value = value << bits_per_digit | digit;
      }
      rest_.remove_prefix(digits);
      frame.data[i] = static_cast<std::byte>(value);
    }
    if (reversed) std::reverse(frame.data.begin(), frame.data.begin() + static_cast<std::ptrdiff_t>(n));
    return true;
  }

  bool parse_separator(bool reversed) {
    if (reversed && rest_.starts_with('`')) {
      rest_.remove_prefix(1);
      return true;
    }
    if (!reversed && skip_spaces() > 0) return true;
    if (is_blank(rest_)) return refuse(kFewerBytes, rest_);
    return refuse("data bytes separated in more than one way", rest_, kViewHint);
  }

  // What may follow the data: nothing, the text of -a in quotes, or ERRORFRAME. The text can hold anything, so only
  // its first quote is looked at. Without data the space was already taken.
  bool parse_text_column() {
    const bool apart = skip_spaces() > 0 || out_.frame.length_bytes == 0;
    if (rest_.empty()) return true;
    const bool text = rest_[0] == '\'' || rest_[0] == '`' || rest_.starts_with("ERRORFRAME");
    return (apart && text) || refuse(kMoreBytes, rest_);
  }

  std::string_view rest_;
  CandumpLine& out_;
};

// Lines of candump itself that begin where a frame would, and comments of people and other writers.
bool is_note(std::string_view line) {
  if (is_blank(line)) return true;
  if (line[0] == '#' || line[0] == ';' || line[0] == '\t' || line.starts_with("//")) return true;
  if (line.starts_with("Disabled standard output while logging") || line.starts_with("Enabling Logfile '")) return true;
  if (line.ends_with(": interface down")) return true;
  // The animation of -s 1.
  return line.find_first_not_of("|/-\\\b") == std::string_view::npos;
}

constexpr std::string_view kDropCount = "DROPCOUNT: dropped ";

LineClass parse_drop_count(std::string_view line, CandumpLine& out) {
  const std::string_view rest = line.substr(kDropCount.size());
  const std::string_view digits = rest.substr(0, rest.find(' '));
  if (const auto frames = parse_integer<std::uint64_t>(digits)) {
    out.dropped_frames = *frames;
    return LineClass::kDropCount;
  }
  out.fault = {"number of dropped frames must be decimal", digits, {}};
  return LineClass::kBad;
}

LineClass parse_any(std::string_view line, CandumpLine& out) {
  if (line.starts_with(kDropCount)) return parse_drop_count(line, out);
  if (is_note(line)) return LineClass::kNote;
  return LineParser(line, out).parse() ? LineClass::kFrame : LineClass::kBad;
}

// Length of the colour code (ESC [ digits and semicolons m) at `at`, 0 if there is none.
std::size_t colour_bytes(std::string_view line, std::size_t at) {
  if (!line.substr(at).starts_with("\x1b[")) return 0;
  const std::size_t last = line.find_first_not_of("0123456789;", at + 2);
  return last != std::string_view::npos && line[last] == 'm' ? last + 1 - at : 0;
}

// A line without its colour codes, and the way back from views of it to views of the line.
class Uncoloured {
 public:
  explicit Uncoloured(std::string_view line) : line_(line) {
    for (std::size_t at = 0; (at = next(at)) < line_.size(); ++at) plain_[size_++] = line_[at];
  }

  std::string_view text() const { return {plain_.data(), size_}; }

  // The part of the line from the first to the last character of `part`, with the codes between them.
  std::string_view original(std::string_view part) const {
    if (part.empty()) return line_.substr(line_.size());
    const auto skip = static_cast<std::size_t>(part.data() - plain_.data());
    std::size_t first = next(0);
    for (std::size_t i = 0; i < skip; ++i) first = next(first + 1);
    std::size_t last = first;
    for (std::size_t i = 1; i < part.size(); ++i) last = next(last + 1);
    return line_.substr(first, last + 1 - first);
  }

 private:
  // The first character at or after `at` that belongs to no code.
  std::size_t next(std::size_t at) const {
    while (at < line_.size()) {
      const std::size_t code = colour_bytes(line_, at);
      if (code == 0) break;
      at += code;
    }
    return at;
  }

  std::string_view line_;
  std::array<char, kMaxCandumpLineBytes> plain_;
  std::size_t size_ = 0;
};

LineClass parse_coloured(std::string_view line, CandumpLine& out) {
  const Uncoloured uncoloured(line);
  const LineClass line_class = parse_any(uncoloured.text(), out);
  if (line_class == LineClass::kBad) out.fault.text = uncoloured.original(out.fault.text);
  if (line_class != LineClass::kFrame) return line_class;
  const std::size_t name_bytes = out.interface.size();
  out.interface = uncoloured.original(out.interface);
  if (out.interface.size() == name_bytes) return line_class;
  out.fault = {"colour code inside the interface name", out.interface, {}};
  return LineClass::kBad;
}

constexpr std::array<char, 200> kTwoDigits = [] {
  std::array<char, 200> table{};
  for (std::size_t i = 0; i < 100; ++i) {
    table[2 * i] = static_cast<char>('0' + i / 10);
    table[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return table;
}();

constexpr std::array<char, 512> kTwoHexDigits = [] {
  std::array<char, 512> table{};
  for (std::size_t i = 0; i < 256; ++i) {
    table[2 * i] = kUpperHex[i >> 4U];
    table[2 * i + 1] = kUpperHex[i & 15U];
  }
  return table;
}();

// `value` in exactly `digits` places, an even number of them.
char* put_decimal(char* to, std::uint64_t value, std::size_t digits) {
  for (std::size_t i = digits; i > 0; i -= 2, value /= 100) std::memcpy(to + i - 2, &kTwoDigits[value % 100 * 2], 2);
  return to + digits;
}

char* put_hex(char* to, std::uint32_t value, std::size_t digits) {
  for (std::size_t i = digits; i-- > 0; value >>= 4U) to[i] = kUpperHex[value & 15U];
  return to + digits;
}

char* put_data(char* to, Bytes data) {
  for (const std::byte b : data) {
    std::memcpy(to, &kTwoHexDigits[std::to_integer<std::size_t>(b) * 2], 2);
    to += 2;
  }
  return to;
}

}  // namespace

std::string_view strip_bom(std::string_view line) {
  constexpr std::string_view kBom = "\xEF\xBB\xBF";
  if (line.starts_with(kBom)) line.remove_prefix(kBom.size());
  return line;
}

LineClass parse_candump(std::string_view line, CandumpLine& out) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kMaxCandumpLineBytes) {
    out.fault = {"line above 8192 bytes", line, {}};
    return LineClass::kBad;
  }
  if (parse_plain_log(line, out)) return LineClass::kFrame;
  return line.find('\x1b') == std::string_view::npos ? parse_any(line, out) : parse_coloured(line, out);
}

void append_candump(std::string& out, std::int64_t time_ns, std::string_view interface, const Frame& frame) {
  if (frame.kind == Kind::kXl) return;
  const auto microseconds = static_cast<std::uint64_t>(time_ns) / 1000;
  // Written in place, because copying bytes that were just written one by one stalls the processor.
  constexpr std::size_t kMostBytes = 20 + 1 + 8 + 3 + 2 * kMaxFdBytes + 1;  // time, space, identifier, ##0, data, LF
  const std::size_t start = out.size();
  out.resize(start + kMostBytes + interface.size());
  char* to = out.data() + start;
  *to++ = '(';
  to = put_decimal(to, microseconds / 1'000'000, 10);
  *to++ = '.';
  to = put_decimal(to, microseconds % 1'000'000, 6);
  *to++ = ')';
  *to++ = ' ';
  to = std::copy(interface.begin(), interface.end(), to);
  *to++ = ' ';
  if (frame.kind == Kind::kError) {
    to = put_hex(to, frame.id | kErrorFlag, 8);
  } else {
    to = put_hex(to, frame.id, frame.extended ? 8 : 3);
  }
  *to++ = '#';
  if (frame.kind == Kind::kFd) {
    const unsigned flags = (frame.bit_rate_switch ? kBitRateSwitch : 0) | (frame.error_state ? kErrorState : 0);
    *to++ = '#';
    *to++ = kUpperHex[flags];
  } else if (frame.kind == Kind::kRemote) {
    *to++ = 'R';
    if (frame.length_bytes > 0) *to++ = static_cast<char>('0' + frame.length_bytes);
  }
  to = put_data(to, frame.payload());
  if (frame.kind != Kind::kFd && frame.length_bytes == kMaxClassicBytes && frame.dlc >= kFirstRawCode) {
    *to++ = '_';
    *to++ = kUpperHex[frame.dlc];
  }
  *to++ = '\n';
  out.resize(static_cast<std::size_t>(to - out.data()));
}

}  // namespace fieldpipe::can
